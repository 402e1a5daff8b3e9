'use strict'
// Serves the application of peers/scorecard over express-session with its MemoryStore, and the
// options that are given as JSON in argv[2]. Prints its port.

const http = require('node:http')
const session = require('express-session')

const options = JSON.parse(process.argv[2])
const sessions = session({
  secret: 'a secret for the scorecard',
  resave: false,
  saveUninitialized: false,
  proxy: true, // the trials set X-Forwarded-Proto to https
  ...options
})

function page (request, response) {
  const answer = (error) => {
    response.statusCode = error ? 500 : 200
    response.end(error ? String(error) : request.session?.value ?? '')
  }
  switch (request.url) {
    case '/write':
      request.session.value = 'written'
      return answer()
    case '/rotate': {
      const value = request.session.value
      return request.session.regenerate((error) => {
        if (!error) request.session.value = value
        answer(error)
      })
    }
    case '/end':
      return request.session.destroy(answer)
    default:
      return answer()
  }
}

const server = http.createServer((request, response) => {
  sessions(request, response, (error) => error ? response.destroy(error) : page(request, response))
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
