package api

import "time"

// Limits bound what one caller can cost. A field that is 0 has its default; a
// refusal names the limit and the setting, which is given in parentheses.
type Limits struct {
	// RequestBody is how many bytes a REST call may send: 2 MiB
	// (limits.request_body).
	RequestBody int64
	// HookBody is how many bytes a webhook may send: 10 MiB (limits.hook_body).
	HookBody int64
	// HookBodies is how many bytes the bodies of all webhooks that are being
	// taken in may have together, beyond the first 64 KiB of each: 256 MiB
	// (limits.hook_bodies). What passes it is told to come again.
	HookBodies int64
	// HookStream is how many bytes a webhook's body may have that goes into files
	// and not into memory: 4 GiB (limits.hook_stream).
	HookStream int64
	// HookPace is how many bytes such a body must bring within each Read of waiting
	// for it, in the place of Read as a whole: 256 KiB (limits.hook_pace).
	HookPace int64
	// Plugin is how many bytes a plugin that is installed may have: 64 MiB
	// (limits.plugin).
	Plugin int64
	// Header is how many bytes the request line and the header may have
	// together: 64 KiB (limits.header).
	Header int
	// ReadHeader limits the reading of a header: 10 s (limits.read_header_timeout).
	ReadHeader time.Duration
	// Read limits the reading of a whole request, but for a body that goes into
	// files (HookPace): 60 s (limits.read_timeout).
	Read time.Duration
	// Write limits all from the end of the header (of a body that goes into files)
	// to the end of the answer, so it must exceed Read, Wait and the longest wait of a webhook: 3 min
	// (limits.write_timeout).
	Write time.Duration
	// Idle is how long an unused connection is kept: 2 min (limits.idle_timeout).
	Idle time.Duration
	// Wait is the most that ?wait may ask for: 60 s (limits.wait).
	Wait time.Duration
	// Depth is how deep an event may be nested: 160 (limits.event_depth).
	Depth int
}

func (l Limits) orDefaults() Limits {
	orDefault(&l.RequestBody, 2<<20)
	orDefault(&l.HookBody, 10<<20)
	orDefault(&l.HookBodies, 256<<20)
	orDefault(&l.HookStream, 4<<30)
	orDefault(&l.HookPace, 256<<10)
	orDefault(&l.Plugin, 64<<20)
	orDefault(&l.Header, 64<<10)
	orDefault(&l.ReadHeader, 10*time.Second)
	orDefault(&l.Read, time.Minute)
	orDefault(&l.Write, 3*time.Minute)
	orDefault(&l.Idle, 2*time.Minute)
	orDefault(&l.Wait, time.Minute)
	orDefault(&l.Depth, 160)
	return l
}

func orDefault[N int | int64 | time.Duration](v *N, def N) {
	if *v <= 0 {
		*v = def
	}
}
