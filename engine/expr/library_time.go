package expr

import (
	"strconv"
	"strings"
	"time"
)

func timeFunctions() []function {
	const group = "times"
	str := StringType()
	when := req("time", of(kTime|kString))
	return []function{
		{
			name: "now", group: group, returns: "time", result: gives(Time()),
			doc: "The time at which the step began. It is the same in all expressions of a step, and when a run is taken up again.", examples: []Example{{`now()`, `"2026-11-24T10:30:00Z"`}},
			do: func(f *frame, _ []any) any { return f.now.UTC() },
		},
		{
			name: "date", group: group, params: []param{req("text", of(kString|kTime)), opt("layout", str), opt("zone", str)}, returns: "time", result: gives(Time()),
			doc:      "The time that a text tells: of RFC 3339, as a date, or by a layout of Go. A text without a zone is UTC, or in the given one: \"UTC\" or an offset like \"+02:00\".",
			examples: []Example{{`date("2026-11-30")`, `"2026-11-30T00:00:00Z"`}, {`date("30.11.2026 08:00", "02.01.2006 15:04", "+01:00")`, `"2026-11-30T08:00:00+01:00"`}},
			do:       parseTime,
		},
		{
			name: "duration", group: group, params: []param{req("text", str)}, returns: "duration", result: gives(Duration()),
			doc: "The length of time that a text like 1h30m tells.", examples: []Example{{`duration("90m")`, `"1h30m"`}, {`date("2026-11-30") + duration("24h")`, `"2026-12-01T00:00:00Z"`}},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				if len(s) <= 64 {
					if d, err := time.ParseDuration(s); err == nil {
						return d
					}
				}
				f.fail("%s isn't a duration; 1h30m is one", clip(s))
				return nil
			},
		},
		{
			name: "formatDate", group: group, params: []param{when, req("layout", str)}, returns: "string", result: gives(str),
			doc: "The text of a time by a layout of Go, in which 2006-01-02 15:04:05 stands for the time.", examples: []Example{{`formatDate("2026-11-30T08:05:00Z", "02.01.2006 15:04")`, `"30.11.2026 08:05"`}},
			do: func(f *frame, a []any) any {
				s := f.time(a[0]).Format(f.layout(a[1]))
				f.alloc(len(s))
				return s
			},
		},
		{
			name: "inZone", group: group, params: []param{when, req("zone", str)}, returns: "time", result: gives(Time()),
			doc: "The same time in another zone: \"UTC\" or an offset like \"+02:00\".", examples: []Example{{`inZone("2026-11-30T08:00:00Z", "+02:00")`, `"2026-11-30T10:00:00+02:00"`}},
			do: func(f *frame, a []any) any { return f.time(a[0]).In(f.zone(f.str(a[1]))) },
		},
		{
			name: "unix", group: group, params: []param{when}, returns: "integer", result: gives(Int()),
			doc: "The seconds since 1970 UTC.", examples: []Example{{`unix("1970-01-02T00:00:00Z")`, `86400`}},
			do: func(f *frame, a []any) any { return int(f.time(a[0]).Unix()) },
		},
		{
			name: "fromUnix", group: group, params: []param{req("seconds", Number())}, returns: "time", result: gives(Time()),
			doc: "The time so many seconds after 1970 UTC.", examples: []Example{{`fromUnix(86400)`, `"1970-01-02T00:00:00Z"`}, {`fromUnix(1.5)`, `"1970-01-01T00:00:01.5Z"`}},
			do: func(f *frame, a []any) any {
				if n, ok := f.numeric(a[0]).(int); ok {
					return time.Unix(int64(n), 0).UTC()
				}
				x := f.float(a[0])
				if x < -1e12 || x > 1e12 {
					f.fail("%s seconds are out of range", formatFloat(x))
				}
				return time.UnixMilli(int64(x * 1000)).UTC()
			},
		},
	}
}

// time takes a time, or a text that date() understands.
func (f *frame) time(v any) time.Time {
	if t, ok := v.(time.Time); ok {
		return t
	}
	t, _ := parseTime(f, []any{v}).(time.Time)
	return t
}

func parseTime(f *frame, a []any) any {
	if t, ok := a[0].(time.Time); ok {
		return t
	}
	s := f.str(a[0])
	if len(s) > 128 {
		f.fail("%s isn't a time", clip(s))
	}
	zone := time.UTC
	if len(a) > 2 {
		zone = f.zone(f.str(a[2]))
	}
	if len(a) > 1 {
		t, err := time.ParseInLocation(f.layout(a[1]), s, zone)
		if err != nil {
			f.fail("%s isn't a time of the layout %s", clip(s), clip(f.str(a[1])))
		}
		return f.fixed(t)
	}
	f.step(20)
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02", "2006-01-02 15:04:05", "2006-01-02T15:04:05", time.RFC1123Z, time.RFC1123,
	} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return f.fixed(t)
		}
	}
	f.fail("%s isn't a time; 2026-11-30T08:00:00Z is one", clip(s))
	return nil
}

// fixed takes the zone's name away: the offset alone stays. An abbreviation,
// such as CET, has none.
func (f *frame) fixed(t time.Time) time.Time {
	name, offset := t.Zone()
	if offset == 0 {
		if name != "" && name != "UTC" && name != "GMT" {
			f.fail("the zone %s has no known offset; write one like +02:00", clip(name))
		}
		return t.UTC()
	}
	return t.In(time.FixedZone("", offset))
}

func (f *frame) layout(v any) string {
	s := f.str(v)
	if len(s) > 128 {
		f.fail("a layout of %d bytes; at most 128 are allowed", len(s))
	}
	return s
}

// zone knows UTC and offsets. Names of places would need a table of zones that
// is the same on each machine.
func (f *frame) zone(s string) *time.Location {
	if s == "UTC" || s == "Z" {
		return time.UTC
	}
	if len(s) == 6 && s[3] == ':' && (s[0] == '+' || s[0] == '-') {
		h, herr := strconv.ParseUint(s[1:3], 10, 8)
		m, merr := strconv.ParseUint(s[4:], 10, 8)
		if herr == nil && merr == nil && h < 24 && m < 60 {
			seconds := int(h)*3600 + int(m)*60
			if strings.HasPrefix(s, "-") {
				seconds = -seconds
			}
			return time.FixedZone("", seconds)
		}
	}
	f.fail(`unknown zone %s; "UTC" and offsets like "+02:00" are known`, clip(s))
	return nil
}
