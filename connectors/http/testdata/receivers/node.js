// Takes multipart/form-data with busboy (/busboy) and multer (/multer), and
// answers what it has received as JSON. Its modules lie in NODE_PATH.
const http = require('http')
const crypto = require('crypto')
const busboy = require('busboy')
const multer = require('multer')

const sum = (b) => crypto.createHash('sha256').update(b).digest('hex')

// Both take names for latin1 unless they are told, also those of browsers.
const upload = multer({ defParamCharset: 'utf8' }).any()

function withBusboy (req, answer) {
  const parts = []
  const bb = busboy({ headers: req.headers, defParamCharset: 'utf8', preservePath: true })
  bb.on('field', (name, value) => parts.push({ name, value }))
  bb.on('file', (name, stream, info) => {
    const part = { name, filename: info.filename, type: info.mimeType }
    parts.push(part)
    const chunks = []
    stream.on('data', (c) => chunks.push(c))
    stream.on('end', () => {
      const b = Buffer.concat(chunks)
      part.size = b.length
      part.sha256 = sum(b)
    })
  })
  bb.on('close', () => answer({ parts }))
  bb.on('error', (e) => answer({ error: String(e) }))
  req.pipe(bb)
}

function withMulter (req, res, answer) {
  upload(req, res, (err) => {
    if (err) return answer({ error: String(err) })
    const parts = []
    for (const [name, v] of Object.entries(req.body)) {
      for (const value of [].concat(v)) parts.push({ name, value })
    }
    for (const f of req.files) {
      parts.push({ name: f.fieldname, filename: f.originalname, type: f.mimetype, size: f.size, sha256: sum(f.buffer) })
    }
    answer({ parts })
  })
}

const server = http.createServer((req, res) => {
  const answer = (v) => {
    res.setHeader('Content-Type', 'application/json')
    res.end(JSON.stringify(v))
  }
  if (req.url === '/multer') withMulter(req, res, answer)
  else withBusboy(req, answer)
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit(0)).resume()
