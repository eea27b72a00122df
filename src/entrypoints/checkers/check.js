// Checks a receipt of a booking (c2sp.org/tlog-proof@v1) with WebCrypto alone: no library, no request.
// docs/fairness.md has the format. receipt.py beside this file is the same check in Python.

const HEADER = "c2sp.org/tlog-proof@v1";
const [MOST_CHARACTERS, MOST_HASHES, MOST_SIGNATURES, ED25519] = [262144, 63, 64, 1];
const UNSUPPORTED = "This browser cannot check Ed25519 signatures. Use `boxoffice check-receipt`.";
const ORIGIN = /^.+\/events\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/log$/;

export class Refused extends Error {} // the receipt does not hold
export class Unsupported extends Error {} // this browser cannot tell

/**
 * Return what a receipt proves to those who trust the log key: {eventId, size, entry, hidden}.
 * `hidden` is what the entry commits to, null where the receipt does not open it.
 * Throws Refused or Unsupported.
 */
export async function checkReceipt(text, keyText) {
  // Browsers have it in secure contexts only: https, or this machine.
  if (!globalThis.crypto?.subtle) throw new Unsupported(UNSUPPORTED);
  const key = await readKey(keyText.trim());
  const proof = readProof(text);
  const { origin, size, root, note, signatures } = readCheckpoint(proof.checkpoint);
  await checkSignatures(note, signatures, key);
  const event = ORIGIN.exec(origin) || refuse("the checkpoint is not of an event's log");

  const extra = readObject(utf8(proof.extra));
  if (typeof extra.entry !== "string") refuse("it does not have the entry");
  const leaf = await sha256(Uint8Array.of(0), encode(extra.entry));
  if (!same(await rootOf(proof.index, size, leaf, proof.hashes), root)) refuse("the entry is not at this place of the log");

  const entry = readObject(extra.entry);
  if (entry.seq !== proof.index + 1) refuse("the entry names another place");
  const hidden = extra.opening === undefined ? null : await open(extra.opening, entry.commitment);
  return { eventId: event[1], size, entry, hidden };
}

async function readKey(text) {
  const [name, id, ...rest] = text.split("+");
  // Base64 may have the sign that separates the parts.
  const raw = fromBase64(rest.join("+"));
  if (!name || /\s/.test(name) || raw.length !== 33 || raw[0] !== ED25519) refuse("the key is not an Ed25519 key");
  const digest = await sha256(encode(name + "\n"), raw);
  if (hex(digest.slice(0, 4)) !== id) refuse("the key's id belongs to another key");
  return { name, id, raw: raw.slice(1) };
}

function readProof(text) {
  const end = text.indexOf("\n\n");
  if (text.length > MOST_CHARACTERS || end < 0) refuse("it is not a receipt");
  const lines = text.slice(0, end).split("\n");
  if (lines.shift() !== HEADER) refuse(`it does not begin with ${HEADER}`);
  const extra = (lines[0] || "").startsWith("extra ") ? fromBase64(lines.shift().slice(6)) : new Uint8Array();
  const line = lines.shift() || "";
  if (!line.startsWith("index ")) refuse("it names no index");
  const hashes = lines.map(fromBase64);
  if (hashes.length > MOST_HASHES || hashes.some((each) => each.length !== 32)) refuse("its hashes are broken");
  return { extra, index: fromDecimal(line.slice(6)), hashes, checkpoint: text.slice(end + 2) };
}

function readCheckpoint(signed) {
  const gap = signed.lastIndexOf("\n\n");
  if (gap < 0 || !signed.endsWith("\n") || /[\x00-\x09\x0b-\x1f]/.test(signed)) refuse("its checkpoint is broken");
  const note = signed.slice(0, gap + 1);
  const signatures = signed.slice(gap + 2, -1).split("\n");
  const [origin, size, root, ...others] = note.slice(0, -1).split("\n");
  if (!origin || root === undefined || others.some((each) => !each)) refuse("its checkpoint is broken");
  if (signatures.length > MOST_SIGNATURES) refuse("its checkpoint has too many signatures");
  return { origin, size: fromDecimal(size), root: fromBase64(root), note, signatures };
}

async function checkSignatures(note, lines, key) {
  let isSigned = false;
  for (const line of lines) {
    const [dash, name, encoded, ...others] = line.split(" ");
    if (dash !== "—" || !name || name.includes("+") || !encoded || others.length) refuse("a signature is broken");
    const raw = fromBase64(encoded);
    if (name !== key.name || hex(raw.slice(0, 4)) !== key.id) continue;
    if (!(await isSignedBy(key.raw, raw.slice(4), encode(note)))) refuse("the signature does not hold");
    isSigned = true;
  }
  if (!isSigned) refuse("the key has not signed it");
}

async function isSignedBy(publicKey, signature, message) {
  let key;
  try {
    key = await crypto.subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError") throw new Unsupported(UNSUPPORTED);
    return false;
  }
  return crypto.subtle.verify({ name: "Ed25519" }, key, signature, message);
}

/** Return the root that follows from a leaf and its proof (RFC 9162, section 2.1.3.2). */
async function rootOf(index, size, leaf, hashes) {
  if (index >= size) refuse("the log has no such entry");
  let [at, last, root] = [index, size - 1, leaf];
  for (const sibling of hashes) {
    if (last === 0) refuse("its proof is too long");
    if (at % 2 === 1 || at === last) {
      root = await sha256(Uint8Array.of(1), sibling, root);
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)];
    } else {
      root = await sha256(Uint8Array.of(1), root, sibling);
    }
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  if (last !== 0) refuse("its proof is too short");
  return root;
}

async function open(opening, commitment) {
  const parts = String(opening).split(".").map(fromBase64);
  if (parts.length !== 2) refuse("its opening is broken");
  if (toBase64(await sha256(...parts)) !== commitment) refuse("its opening is not what the log committed to");
  return readObject(utf8(parts[1]));
}

function refuse(sentence) {
  throw new Refused(`The receipt does not hold: ${sentence}.`);
}

function readObject(text) {
  try {
    const value = JSON.parse(text);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return value;
  } catch {}
  return refuse("it is not JSON");
}

function fromBase64(text) {
  let raw = null;
  try { raw = Uint8Array.from(atob(text), (each) => each.charCodeAt(0)); } catch {}
  return raw !== null && toBase64(raw) === text ? raw : refuse("base64 is broken");
}

function utf8(raw) {
  try { return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw); } catch { return refuse("it is not UTF-8"); }
}

const toBase64 = (raw) => btoa(Array.from(raw, (each) => String.fromCharCode(each)).join(""));
const fromDecimal = (text) => /^(0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : refuse("a number is broken");
const encode = (text) => new TextEncoder().encode(text);
const hex = (raw) => Array.from(raw, (each) => each.toString(16).padStart(2, "0")).join("");
const same = (one, other) => hex(one) === hex(other);
async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer()));
}
