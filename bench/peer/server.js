// The usual way to book, written for Node: Express and mysql2, one transaction for each request.
//
// The same schema, rules and answers as bench/usual.py, and as well tuned as we could: prepared statements with the
// binary protocol, rows as arrays, callbacks instead of the driver's promises (which record a stack for each call),
// connections that begin their transactions by themselves, no ETags. One process, as the others.

import { createSecretKey } from 'node:crypto'
import { parseArgs } from 'node:util'

import express from 'express'
import jwt from 'jsonwebtoken'
import mysql from 'mysql2'
import { parse, stringify, v7 } from 'uuid'

const ATTEMPTS = 5
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const LOCK = 'SELECT total, taken, waiting FROM usual_events WHERE id = ? FOR UPDATE'
const BOOK = 'INSERT INTO usual_bookings (id, event_id, customer_id, quantity, status) VALUES (?, ?, ?, ?, ?)'
const TAKE = 'UPDATE usual_events SET taken = taken + ? WHERE id = ?'
const WAIT = 'UPDATE usual_events SET waiting = waiting + ? WHERE id = ?'
const READ = 'SELECT name, total, taken, waiting FROM usual_events WHERE id = ?'

const { values: options } = parseArgs({ options: { host: { type: 'string' }, port: { type: 'string' } } })
const secret = createSecretKey(Buffer.from(process.env.BOXOFFICE_JWT_SECRET))
const to = new URL(process.env.BOXOFFICE_DATABASE_URL)

function pool(onConnection) {
  const made = mysql.createPool({
    host: to.hostname,
    port: Number(to.port || 3306),
    user: decodeURIComponent(to.username),
    password: decodeURIComponent(to.password),
    database: to.pathname.slice(1),
    connectionLimit: Number(process.env.PEER_POOL || 32),
    rowsAsArray: true
  })
  if (onConnection) made.on('connection', onConnection)
  return made
}

// A transaction begins with its first statement: one round trip less than with BEGIN.
const writing = pool((connection) => connection.query('SET autocommit = 0'))
const reading = pool()

const connected = (from) =>
  new Promise((resolve, reject) => from.getConnection((error, found) => (error ? reject(error) : resolve(found))))
const execute = (on, statement, values) =>
  new Promise((resolve, reject) =>
    on.execute(statement, values, (error, found) => (error ? reject(error) : resolve(found)))
  )
const query = (on, statement) =>
  new Promise((resolve, reject) => on.query(statement, (error) => (error ? reject(error) : resolve())))

class Problem extends Error {
  constructor(status, code) {
    super(code)
    this.status = status
    this.code = code
  }
}

function customerOf(request) {
  const header = request.headers.authorization ?? ''
  try {
    return jwt.verify(header.replace(/^Bearer /, ''), secret, {
      algorithms: ['HS256'],
      audience: 'boxoffice',
      issuer: 'boxoffice'
    }).sub
  } catch {
    throw new Problem(401, 'invalid-token')
  }
}

async function transaction(eventId, customerId, quantity) {
  const event = Buffer.from(parse(eventId))
  const connection = await connected(writing)
  try {
    const [found] = await execute(connection, LOCK, [event])
    if (!found) throw new Problem(404, 'not-found')
    const [total, taken] = found
    const isFree = taken + quantity <= total
    const id = Buffer.from(v7({}, new Uint8Array(16)))
    const status = isFree ? 'confirmed' : 'waitlisted'
    await execute(connection, BOOK, [id, event, Buffer.from(parse(customerId)), quantity, status])
    await execute(connection, isFree ? TAKE : WAIT, [isFree ? quantity : 1, event])
    await query(connection, 'COMMIT')
    connection.release()
    return { id: stringify(id), eventId, customerId, quantity, status }
  } catch (error) {
    // What is broken off ends with its connection, unless the rollback is answered.
    await query(connection, 'ROLLBACK').then(
      () => connection.release(),
      () => connection.destroy()
    )
    throw error
  }
}

async function book(request, response) {
  const customerId = customerOf(request)
  const { eventId, quantity = 1 } = request.body ?? {}
  if (typeof eventId !== 'string' || !UUID.test(eventId) || !Number.isInteger(quantity) || quantity < 1) {
    throw new Problem(400, 'invalid-request')
  }
  for (let attempt = 1; ; attempt++) {
    try {
      response.status(201).json(await transaction(eventId, customerId, quantity))
      return
    } catch (error) {
      if (error.code === 'ER_DUP_ENTRY') throw new Problem(409, 'already-booked')
      const isUndone = error.code === 'ER_LOCK_DEADLOCK' || error.code === 'ER_CHECKREAD'
      if (!isUndone || attempt === ATTEMPTS) throw error
    }
  }
}

async function status(request, response) {
  const eventId = request.params.eventId
  if (!UUID.test(eventId)) throw new Problem(404, 'not-found')
  const [found] = await execute(reading, READ, [Buffer.from(parse(eventId))])
  if (!found) throw new Problem(404, 'not-found')
  const [name, total, taken, waiting] = found
  response.json({ eventId, name, totalTickets: total, availableTickets: total - taken, waitingListCount: waiting })
}

const app = express()
app.disable('x-powered-by')
app.disable('etag')
app.set('query parser', false)
app.post('/book', express.json(), book)
app.get('/status/:eventId', status)
app.get('/health/ready', (_, response) => response.send('ready'))
app.use((error, _request, response, _next) => {
  if (!(error instanceof Problem)) console.error(error)
  response.status(error.status ?? 500).json({ code: error instanceof Problem ? error.code : 'internal-error' })
})

const server = app.listen(Number(options.port), options.host)
server.keepAliveTimeout = 60_000
