package expr

import (
	"strings"
	"time"
)

func timeFunctions() []function {
	const group = "times"
	str := StringType()
	when := req("time", of(kTime|kString))
	return []function{
		{
			name: "now", group: group, varies: true, returns: "time", result: gives(Time()),
			doc: "The time at which the step began. It is the same in all expressions of a step, and when a run is taken up again.", examples: []Example{{`now()`, `"2026-11-24T10:30:00Z"`}, {`now() + duration("15m")`, `"2026-11-24T10:45:00Z"`}},
			do: func(f *frame, _ []any) any { return f.now.UTC() },
		},
		{
			name: "date", group: group, params: []param{req("text", of(kString|kTime)), opt("layout", str), opt("zone", str).as(isZone)}, returns: "time", result: gives(Time()),
			doc:      "The time that a text tells: of RFC 3339, as a date, or by a layout of Go. A text without a zone is UTC, or in the given one, such as \"Europe/Berlin\" or \"+02:00\".",
			examples: []Example{{`date("2026-11-30")`, `"2026-11-30T00:00:00Z"`}, {`date("30.07.2026 08:00", "02.01.2006 15:04", "Europe/Berlin")`, `"2026-07-30T08:00:00+02:00"`}},
			do:       parseTime,
		},
		{
			name: "duration", group: group, params: []param{req("text", str)}, returns: "duration", result: gives(Duration()),
			doc:      "The length of time that a text like 1h30m, or PT1H30M of ISO 8601, tells. A day is 24 hours, and months and years have no fixed length.",
			examples: []Example{{`duration("90m")`, `"1h30m"`}, {`date("2026-11-30") + duration("24h")`, `"2026-12-01T00:00:00Z"`}, {`duration("P1DT12H")`, `"36h"`}},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				if len(s) <= 64 {
					if d, err := time.ParseDuration(s); err == nil {
						return d
					}
					if d, ok := isoDuration(s); ok {
						return d
					}
				}
				f.fail("%s isn't a duration; 1h30m and P1DT2H are", clip(s))
				return nil
			},
		},
		{
			name: "formatDate", group: group, params: []param{when, req("layout", str), opt("zone", str).as(isZone)}, returns: "string", result: gives(str),
			doc:      "The text of a time by a layout of Go, in which 2006-01-02 15:04:05 stands for the time, Jan and Mon for names.",
			examples: []Example{{`formatDate("2026-11-30T08:05:00Z", "02.01.2006 15:04")`, `"30.11.2026 08:05"`}, {`formatDate("2026-11-30T23:30:00Z", "Mon, 2 Jan", "Europe/Berlin")`, `"Tue, 1 Dec"`}},
			do: func(f *frame, a []any) any {
				s := f.in(f.time(a[0]), a[2:]).Format(f.layout(a[1]))
				f.alloc(len(s))
				return s
			},
		},
		{
			name: "inZone", group: group, params: []param{when, req("zone", str).as(isZone)}, returns: "time", result: gives(Time()),
			doc:      "The same time in another zone, such as \"UTC\", \"Europe/Berlin\" or \"+02:00\".",
			examples: []Example{{`inZone("2026-11-30T08:00:00Z", "+02:00")`, `"2026-11-30T10:00:00+02:00"`}, {`inZone("2026-07-01T12:00:00Z", "America/New_York")`, `"2026-07-01T08:00:00-04:00"`}},
			do:       func(f *frame, a []any) any { return f.time(a[0]).In(f.zone(f.str(a[1]))) },
		},
		{
			name: "unix", group: group, params: []param{when}, returns: "integer", result: gives(Int()),
			doc: "The seconds since 1970 UTC.", examples: []Example{{`unix("1970-01-02T00:00:00Z")`, `86400`}, {`unix("1970-01-01T01:00:00+01:00")`, `0`}},
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
		return f.fixed(t, zone)
	}
	if t, ok := readTime(f, s, zone); ok {
		return f.fixed(t, zone)
	}
	f.fail("%s isn't a time; 2026-11-30T08:00:00Z is one", clip(s))
	return nil
}

// readTime reads the layouts that need no name.
func readTime(f *frame, s string, zone *time.Location) (time.Time, bool) {
	f.step(20)
	f.alloc(256) // what each layout that doesn't fit says
	if len(s) <= 128 {
		for _, layout := range [...]string{
			time.RFC3339Nano, "2006-01-02", "2006-01-02 15:04:05", "2006-01-02T15:04:05", time.RFC1123Z, time.RFC1123,
		} {
			if t, err := time.ParseInLocation(layout, s, zone); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// fixed takes away a zone's name that the text brought: the offset alone stays. An abbreviation,
// such as CET, has none.
func (f *frame) fixed(t time.Time, zone *time.Location) time.Time {
	if t.Location() == zone {
		return t
	}
	name, offset := t.Zone()
	if offset == 0 {
		if name != "" && name != "UTC" && name != "GMT" {
			f.fail("the zone %s has no known offset; write one like +02:00", clip(name))
		}
		return t.UTC()
	}
	return t.In(time.FixedZone("", offset))
}

// goLayout gives Go's layout for one of another language, such as YYYY-MM-DD or
// %Y-%m-%d, and nothing for one that is Go's: it would be taken as plain text.
func goLayout(s string) string {
	if !strings.Contains(s, "YY") && !strings.Contains(s, "yy") && !strings.Contains(s, "%Y") &&
		!strings.Contains(s, "%d") && !strings.Contains(s, "HH") && !strings.Contains(s, "%H") {
		return ""
	}
	return strings.NewReplacer("YYYY", "2006", "yyyy", "2006", "YY", "06", "yy", "06", "MMMM", "January", "MMM", "Jan", "MM", "01",
		"DD", "02", "dd", "02", "HH", "15", "hh", "03", "mm", "04", "ss", "05", "SSS", "000", "%Y", "2006", "%m", "01", "%d", "02",
		"%H", "15", "%M", "04", "%S", "05", "%y", "06", "%b", "Jan", "%B", "January", "%a", "Mon", "%A", "Monday").Replace(s)
}

func (f *frame) layout(v any) string {
	s := f.str(v)
	if len(s) > 128 {
		f.fail("a layout of %d bytes; at most 128 are allowed", len(s))
	}
	if other := goLayout(s); other != "" {
		f.fail("%s isn't a layout of Go; write %s", clip(s), clip(other))
	}
	return s
}
