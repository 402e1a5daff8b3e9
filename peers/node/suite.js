'use strict'
// Run the tests of express-session over sessions of a Python server: node suite.js PYTHON_PORT
// The middleware that the tests get passes each request on to Python. Python loads the session, and
// asks the handler of the test here, with the session's data; then it stores the data and sets the
// cookie. Print the outcome of each test as JSON.

const http = require('node:http')
const Module = require('node:module')
const path = require('node:path')
const { default: Mocha } = require('mocha')

const python = Number(process.argv[2])
const file = path.join(path.dirname(require.resolve('express-session-tests/package.json')), 'test', 'session.js')
const waiting = {} // number -> {req, res, next}: requests whose handler Python has not asked yet
let numbers = 0

// What a test sees as req.session.
function sessionOf (req, data, ended) {
  const session = { ...data, cookie: { ...req.cookieOptions } }
  const hidden = (name, value) => Object.defineProperty(session, name, { value })
  hidden('id', `${++numbers}`)
  hidden('destroy', (done) => { ended.by = 'destroy'; delete req.session; done() })
  hidden('regenerate', (done) => { ended.by = 'regenerate'; req.session = sessionOf(req, {}, ended); done() })
  hidden('save', (done) => done())
  return session
}

// Python asks for the handler of a test, and gets what it did.
const handlers = http.createServer(async (asked, reply) => {
  const { number, data } = JSON.parse(Buffer.concat(await asked.toArray()).toString())
  const { req, res, next } = waiting[number]
  const ended = {}
  req.session = sessionOf(req, data, ended)
  const { end } = res
  res.end = (body) => {
    res.end = end
    const { cookie, ...kept } = req.session ?? {}
    reply.end(JSON.stringify({ data: kept, ended: ended.by ?? null, status: res.statusCode, body: body ?? '' }))
  }
  next()
})

function session (options = {}) {
  const app = ++numbers // each has sessions of its own
  return (req, res, next) => {
    const number = ++numbers
    waiting[number] = { req, res, next }
    req.cookieOptions = { httpOnly: true, path: '/', ...options.cookie }
    const given = { secret: req.secret, ...options, app, number, handlers: handlers.address().port }
    const headers = { ...req.headers, host: '127.0.0.1', 'x-options': JSON.stringify(given) }
    const request = http.request({ host: '127.0.0.1', port: python, method: req.method, path: req.url, headers })
    request.on('response', (answer) => {
      const cookies = answer.headers['set-cookie']
      if (cookies) res.setHeader('Set-Cookie', cookies)
      res.statusCode = answer.statusCode
      answer.toArray().then((parts) => res.end(Buffer.concat(parts)))
    })
    request.on('error', next)
    request.end()
  }
}

const load = Module._load
Module._load = function (name, parent, ...rest) {
  return name === '../' && parent.filename === file ? session : load.call(this, name, parent, ...rest)
}

const outcomes = {}

function Reporter (runner) {
  runner.on('pass', (test) => { outcomes[test.fullTitle()] = ['passed', ''] })
  runner.on('fail', (test, error) => { outcomes[test.fullTitle()] = ['failed', String(error.message)] })
}

handlers.listen(0, '127.0.0.1', () => {
  const mocha = new Mocha({ reporter: Reporter, timeout: 5000 })
  mocha.addFile(file)
  mocha.run(() => {
    console.log(JSON.stringify(outcomes))
    process.exit()
  })
})
