'use strict'
// Run the Node stores under the same work as lembro: node --expose-gc stores.js NAME SESSIONS CAP
// Print lines of progress that begin with "~", then one line "= {...}".

const { createHash } = require('node:crypto')
const { readFileSync } = require('node:fs')

const [name, sessions, cap] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
const DAY = 86400000
const BATCH = 500
const ROUNDS = 30

const digest = (n) => createHash('sha256').update(String(n)).digest()
const id = (n) => digest(n).toString('base64url')
const say = (text) => console.log(`~ ${text}`)
const milliseconds = () => Number(process.hrtime.bigint()) / 1e6
const resident = () => Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4096
const settle = () => { for (let i = 0; i < 4; i++) global.gc() }

function session (n, visits = 0, age = DAY) {
  return {
    cookie: { originalMaxAge: age, maxAge: age, expires: new Date(Date.now() + age), httpOnly: true, path: '/' },
    user_id: 100000 + n,
    name: 'Ada Lovelace',
    csrf_token: digest(-n).toString('hex').slice(32),
    roles: ['customer', 'reviewer'],
    cart: [
      { sku: `BK-${n % 9000 + 1000}`, quantity: 1, price: 2490 },
      { sku: `PN-${n % 7000 + 1000}`, quantity: 12, price: 130 },
      { sku: `LP-${n % 5000 + 1000}`, quantity: 1, price: 8900 }
    ],
    logged_in_at: 1790000000 + n,
    visits
  }
}

function make (count, bytes) {
  const express = require('express-session')
  let store
  if (name === 'express-session MemoryStore') {
    store = new express.MemoryStore()
  } else if (name === 'memorystore') {
    const MemoryStore = require('memorystore')(express)
    store = new MemoryStore({ max: bytes ? Math.floor(bytes / 300) : count })
  } else if (name === 'express-lembro') {
    const Lembro = require('express-lembro')({ Store: express.Store })
    store = new Lembro({ maxSize: bytes ? String(bytes) : '8G', interval: DAY })
    clearInterval(store._cleanup) // its timer would keep the script running
  } else {
    throw new Error(`no store ${name}`)
  }
  if (store.stopInterval) store.stopInterval()
  return store
}

// All calls at once, then their callbacks.
const all = (ids, call) => new Promise((resolve) => {
  let left = ids.length
  const done = () => { if (!--left) resolve() }
  ids.forEach((at, i) => call(at, i, done))
})

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]

async function speed () {
  const count = 10000
  const store = make(count * 2)
  const bare = new Map()
  for (let n = 0; n < count; n++) {
    bare.set(id(n), JSON.stringify(session(n)))
    await all([id(n)], (at, i, done) => store.set(at, session(n), done))
  }
  const took = { get: [], overwrite: [], new: [], touch: [] }
  const bares = { get: [], overwrite: [], new: [] }
  let next = count
  for (let round = 0; round < ROUNDS; round++) {
    const numbers = Array.from({ length: BATCH }, () => Math.floor(Math.random() * count))
    const ids = numbers.map(id)
    const changed = numbers.map((n) => session(n, round))
    const fresh = numbers.map(() => id(next++))
    const time = async (into, work) => {
      const start = milliseconds()
      await work()
      into.push((milliseconds() - start) / BATCH * 1000)
    }
    await time(bares.get, () => { for (const at of ids) JSON.parse(bare.get(at)) })
    await time(took.get, () => all(ids, (at, i, done) => store.get(at, done)))
    await time(bares.overwrite, () => ids.forEach((at, i) => bare.set(at, JSON.stringify(changed[i]))))
    await time(took.overwrite, () => all(ids, (at, i, done) => store.set(at, changed[i], done)))
    await time(bares.new, () => fresh.forEach((at, i) => bare.set(at, JSON.stringify(changed[i]))))
    await time(took.new, () => all(fresh, (at, i, done) => store.set(at, changed[i], done)))
    await time(took.touch, () => all(ids, (at, i, done) => store.touch(at, changed[i], done)))
  }
  const result = {}
  for (const verb of Object.keys(took)) {
    const times = bares[verb]
    const quotients = times && took[verb].map((value, i) => value / times[i])
    result[verb] = { microseconds: median(took[verb]), of_a_map: quotients ? median(quotients) : null }
  }
  return result
}

async function million () {
  const store = make(sessions)
  settle()
  const before = resident()
  let payload = 0
  let insert = 0
  for (let n = 0; n < sessions; n++) {
    // every second one expires soon; only the store's own work is timed
    const data = session(n, 0, n % 2 ? DAY : 1)
    const at = id(n)
    payload += JSON.stringify(data).length
    const start = milliseconds()
    store.set(at, data)
    insert = Math.max(insert, milliseconds() - start)
    if (n % 5000 === 0) {
      await new Promise((resolve) => setImmediate(resolve))
      say(`${n} of ${sessions}`)
    }
  }
  settle()
  const overhead = (resident() - before - payload) / sessions
  say('purging')
  const start = milliseconds()
  const purge = name === 'memorystore' ? 'prune' : 'all'
  const pruned = purge === 'prune' ? store.prune() : await new Promise((resolve) => store.all(resolve))
  return { sessions, overhead, insert, purge: milliseconds() - start, purge_is: `${purge}()`, pruned: typeof pruned }
}

async function shifting () {
  if (name === 'express-session MemoryStore') return null // it has no bound
  const store = make(0, cap)
  settle()
  const before = resident()
  let most = 0
  let ids = 0
  const sizes = [() => 300, null, () => 1500, () => 120, () => 900, null]
  for (const size of sizes) {
    for (let written = 0; written < cap * 1.6;) {
      const length = size ? size() : Math.min(60000, Math.max(50, Math.floor(300 * Math.exp(1.2 * gauss()))))
      const at = id(ids)
      store.set(at, { cookie: { maxAge: DAY }, data: digest(ids).toString('hex').repeat(1 + (length >> 6)).slice(0, length) })
      if (ids % 3 === 0) store.set(at, { cookie: { maxAge: DAY }, data: 'changed'.repeat(length / 7) }) // one in three is written again
      written += length + 150
      if (++ids % 2000 === 0) {
        await new Promise((resolve) => setImmediate(resolve))
        most = Math.max(most, resident() - before)
        if (most > cap * 8) return { most: most / cap, note: 'stopped at eight times its cap' }
      }
    }
    settle()
    say(`shifting sizes: ${(most / cap).toFixed(2)} of the cap`)
  }
  return { most: most / cap }
}

const gauss = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())

async function main () {
  const result = { name, node: process.version }
  say('speed')
  result.speed = await speed()
  result.million = await million()
  result.shifting = await shifting()
  console.log('= ' + JSON.stringify(result))
  process.exit(0)
}

main()
