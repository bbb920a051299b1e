// Package wire is the envelope that travels between host and plugin on both
// pipes: one [Frame], in the protobuf wire format of tappet.proto.
//
// It isn't a transport and knows no sdk type: the pipes carry the bytes, and
// both ends translate. Its one rule: a field number never changes its meaning,
// and a reader skips the numbers that it doesn't know.
package wire

// ABI is the version of the conversation. It is part of the name of the
// functions that a WASM guest imports (module "tappet_1") and is go-plugin's
// protocol version on the native pipe. A new field or op doesn't change it.
const ABI = 1

// Module is the name of the module whose functions swap and take a guest
// imports; ModulePrefix is what it has in common with other versions.
const (
	ModulePrefix = "tappet_"
	Module       = "tappet_1"
)

// The native pipe: how the two processes recognise each other, and the one
// gRPC method, a bidirectional stream of frames for each call.
const (
	CookieKey   = "TAPPET_PLUGIN"
	CookieValue = "frames"
	PluginName  = "connector"
	Service     = "tappet.v1.Plugin"
	Method      = "/tappet.v1.Plugin/Call"
)

// Chunk is the most bytes of a streamed body in one frame.
const Chunk = 64 << 10

// MaxFrame is the most bytes of one frame; a larger one is refused with kind
// too_large.
const MaxFrame = 32 << 20

// An Op says what a frame is. Below 64 the host speaks, from 64 the plugin.
type Op uint32

// The ops of the host.
const (
	// OpDescribe asks for the connector's spec: Return with Body.
	OpDescribe Op = 1
	// OpCall calls a function: Part and Name say which, Millis is what is left
	// of its time (0: no limit).
	OpCall Op = 2
	// OpCancel takes the call back; native pipe only, Stop does it on the other.
	OpCancel Op = 3
	// OpReply answers one frame of the plugin.
	OpReply Op = 4
)

// The ops of the plugin. Each but Ready and Return is answered by OpReply.
const (
	// OpReady is the first frame of a guest, with ABI: it waits for a call.
	OpReady Op = 64
	// OpReturn ends the call: a result, or Kind and Text, or both.
	OpReturn Op = 65
	// OpHTTP sends a request: Method, URL, Headers, Size and the first chunk of
	// Body; More says that OpChunk follows. A reply with a Status is the
	// response; one without asks for the next chunk, on Stream.
	OpHTTP Op = 66
	// OpChunk sends the next chunk of a request's body on Stream.
	OpChunk Op = 67
	// OpRead asks for the next chunk of a response's body on Stream: Body and
	// More.
	OpRead Op = 68
	// OpDone gives Stream up.
	OpDone Op = 69
	// OpLog writes a line: Name is the level, Text the message, Headers the
	// attributes.
	OpLog Op = 70
	// OpSecret asks for the secret Name: Body.
	OpSecret Op = 71
	// OpEmit hands Events and Cursor of a stream on; the reply comes when they
	// are durable.
	OpEmit Op = 72
	// OpNow asks for the engine's time: Time.
	OpNow Op = 73
	// OpPing asks nothing; the reply's Stop says whether the call was taken back.
	OpPing Op = 74
	// OpState asks for what is kept under Name: Body, empty if there is none.
	OpState Op = 75
	// OpSetState keeps Body under Name; an empty one is forgotten. The reply
	// comes when that is durable.
	OpSetState Op = 76
)

// Part says which kind of function a call is for.
type Part string

// The parts.
const (
	PartPoll    Part = "poll"
	PartWebhook Part = "webhook"
	PartStream  Part = "stream"
	PartAction  Part = "action"
	PartCheck   Part = "check"
	PartOptions Part = "options"
)

// A Frame is one message. Which fields an op uses stands beside the op and in
// tappet.proto; the others are left empty and cost nothing.
type Frame struct {
	Op  Op     // 1
	ABI uint32 // 2, with OpReady and the answer to OpDescribe
	// Seq pairs a reply with its frame on the native pipe, where several may be
	// open; 0 on the other.
	Seq  uint64 // 3
	Part Part   // 4
	Name string // 5
	Text string // 6
	// Kind is the kind of the error that the frame tells of, a word of
	// sdk.Kind; "" is none.
	Kind string // 7
	// Config is a trigger's config, a JSON object.
	Config []byte // 8
	Body   []byte // 9
	Cursor string // 10
	// Headers are a message's header fields, or the attributes of a log line.
	Headers []Pair // 11
	// Fields are an action's input, in order.
	Fields []Field // 12
	Events []Event // 13
	// Millis is a time that is left, or to wait (Retry-After).
	Millis uint64 // 14
	Status uint32 // 15
	// More says that more of a body follows.
	More bool // 16
	// Stop says that the call was taken back.
	Stop bool // 17
	// Wait is RawWebhook.Wait.
	Wait   bool    // 18
	Answer *Answer // 19
	// Time is nanoseconds since 1970 in UTC, 0 for none: when to poll again, or
	// the engine's time.
	Time int64 // 20
	// Stream is an HTTP exchange whose body isn't all here, from 1.
	Stream uint64 // 21
	// Size is the length of a whole body, -1 if it isn't known.
	Size int64 // 22
	// Key is an idempotency key.
	Key    string // 23
	Method string // 24
	// URL is a request's address; for a webhook its path below /hooks/.
	URL   string // 25
	Query string // 26
}

// A Pair is a name and a value.
type Pair struct {
	Name  string // 1
	Value string // 2
}

// A Field is a name and its JSON value.
type Field struct {
	Name  string // 1
	Value []byte // 2
}

// An Event is a key and a JSON document.
type Event struct {
	Key  string // 1
	Data []byte // 2
}

// An Answer is what the caller of a webhook gets.
type Answer struct {
	Status  uint32 // 1
	Headers []Pair // 2
	Body    []byte // 3
}
