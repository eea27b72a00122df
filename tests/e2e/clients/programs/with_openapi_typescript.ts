// Book through openapi-fetch with the types that openapi-typescript makes; they lie beside this file.
import createClient, { type Client } from "openapi-fetch";

import type { components, paths } from "./boxoffice.js";

declare const process: { argv: string[] };

type Schemas = components["schemas"];

const url = process.argv[2] ?? "";
const password = "correct horse battery";

function given<Value>(value: Value | undefined, problem?: Schemas["Problem"]): Value {
  if (value === undefined) throw new Error(JSON.stringify(problem));
  return value;
}

function same(found: unknown, expected: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(found)} is not ${JSON.stringify(expected)}`);
  }
}

async function signedIn(name: string): Promise<Client<paths>> {
  const email = `${name.toLowerCase()}.typescript@example.org`;
  const anyone = createClient<paths>({ baseUrl: url });
  const created = await anyone.POST("/create-user", { body: { name, email, password } });
  given(created.data, created.error);
  const { data, error } = await anyone.POST("/login", { body: { email, password } });
  const tokens = given(data, error);
  return createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${tokens.accessToken}` } });
}

async function booked(client: Client<paths>, eventId: string, quantity: number): Promise<Schemas["BookingView"]> {
  const { data, error } = await client.POST("/book", {
    body: { eventId, quantity },
    params: { header: { "Idempotency-Key": `book-${quantity}` } },
  });
  return given(data, error);
}

const organizer = await signedIn("Olga");
const group = await signedIn("Greta");
const waiting = await signedIn("Walt");
const initialized = await organizer.POST("/initialize", {
  body: { name: "Jazz night", totalTickets: 4, price: { amount: 2500, currency: "EUR" } },
});
const event = given(initialized.data, initialized.error);
const first = await booked(group, event.id, 3);
same([first.status, first.amount.amount], ["confirmed", 7500]);
const second = await booked(waiting, event.id, 2);
same([second.status, second.position, second.ticketsAhead], ["waitlisted", 1, 0]);

const again = await waiting.POST("/book", { body: { eventId: event.id } });
const problem: Schemas["Problem"] = given(again.error);
const code: Schemas["ProblemCode"] = "already-booked";
same([problem.status, problem.code, problem.bookingId], [409, code, second.id]);
const nothing = await waiting.POST("/book", { body: { eventId: event.id, quantity: 0 } });
same(given(nothing.error).errors?.map((each) => each.pointer), ["/quantity"]);

const cancelled = await group.POST("/cancel", { body: { bookingId: first.id } });
const cancellation = given(cancelled.data, cancelled.error);
same([cancellation.booking.status, cancellation.promotedCount], ["cancelled", 1]);
const list = await waiting.GET("/bookings", { params: { query: { status: "confirmed", limit: 10 } } });
const page = given(list.data, list.error);
same([page.items.map((booking) => booking.id), page.nextCursor], [[second.id], null]);
const status = await createClient<paths>({ baseUrl: url }).GET("/status/{eventId}", {
  params: { path: { eventId: event.id } },
});
same(given(status.data, status.error).availableTickets, 2);
const changes = await organizer.GET("/events/{eventId}/changes", {
  params: { path: { eventId: event.id }, query: { after: 1 } },
});
same(given(changes.data, changes.error).items.slice(0, 2).map((fact) => fact.kind), [
  "TicketsBooked",
  "CustomerWaitlisted",
]);
