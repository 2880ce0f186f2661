// An upstream broker: aedes over TCP, WebSocket and WebSocket with TLS. Prints what it receives, one JSON object a line.
// usage: node upstream_aedes.mjs NODE_MODULES [CERT KEY]
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import http from 'node:http'
import https from 'node:https'

const [modules, cert, key] = process.argv.slice(2)
const load = createRequire(`${modules}/`)
const { Aedes } = await import(load.resolve('aedes'))
const { WebSocketServer, createWebSocketStream } = load('ws')

const broker = await Aedes.createBroker({ concurrency: 1000 })
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
broker.on('publish', (packet, client) => {
  if (client) say({ topic: packet.topic, payload: packet.payload.toString(), qos: packet.qos, retain: packet.retain })
})

const websockets = (server) => {
  const sockets = new WebSocketServer({ server, path: '/mqtt', handleProtocols: (offered) => offered.has('mqtt') && 'mqtt' })
  sockets.on('connection', (socket, request) => broker.handle(createWebSocketStream(socket), request))
  return server
}
const servers = { mqtt: net.createServer(broker.handle), ws: websockets(http.createServer()) }
if (cert) servers.wss = websockets(https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }))

const ports = {}
for (const [name, server] of Object.entries(servers)) {
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  ports[name] = server.address().port
}
say(ports)
