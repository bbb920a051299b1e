package expr

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// units are those of the calendar, from the longest.
var units = Enum("year", "quarter", "month", "week", "day", "hour", "minute", "second")

func calendarFunctions() []function {
	const group = "times"
	str := StringType()
	when, zone := req("time", of(kTime|kString)), opt("zone", str).as(isZone)
	number := func(name, doc string, do func(time.Time) int, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{when, zone}, returns: "integer", result: gives(Int()), doc: doc, examples: examples,
			do: func(f *frame, a []any) any { return do(f.in(f.time(a[0]), a[1:])) },
		}
	}
	length := func(name, doc string, unit time.Duration, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{req("duration", Duration())}, returns: "number", result: gives(Number()), doc: doc, examples: examples,
			do: func(f *frame, a []any) any {
				d, ok := a[0].(time.Duration)
				if !ok {
					f.wrong("a duration", a[0])
				}
				if d%unit == 0 {
					return int(d / unit)
				}
				return float64(d) / float64(unit)
			},
		}
	}
	add := func(name, doc string, do func(f *frame, t time.Time, n int) time.Time, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{when, req("count", Int())}, returns: "time", result: gives(Time()), doc: doc, examples: examples,
			do: func(f *frame, a []any) any {
				n := f.int(a[1])
				if n < -4_000_000 || n > 4_000_000 {
					f.fail("%d is too much to be added to a time", n)
				}
				return f.dated(do(f, f.time(a[0]), n))
			},
		}
	}
	edge := func(name, doc string, do func(time.Time, string) time.Time, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{when, req("unit", units).as(isUnit), zone}, returns: "time", result: gives(Time()), doc: doc, examples: examples,
			do: func(f *frame, a []any) any {
				return f.dated(do(f.in(f.time(a[0]), a[2:]), f.unit(a[1])))
			},
		}
	}
	return []function{
		number("year", "The year.", time.Time.Year, Example{`year("2026-11-30")`, `2026`}, Example{`year("2026-12-31T23:30:00Z", "Europe/Berlin")`, `2027`}),
		number("month", "The month, from 1.", func(t time.Time) int { return int(t.Month()) }, Example{`month("2026-11-30")`, `11`}, Example{`month("2026-11-30T23:30:00Z", "+01:00")`, `12`}),
		number("day", "The day of the month, from 1.", time.Time.Day, Example{`day("2026-11-30")`, `30`}, Example{`day("2026-11-30T23:30:00Z", "Europe/Berlin")`, `1`}),
		number("hour", "The hour of the day, from 0.", time.Time.Hour, Example{`hour("2026-11-30T08:05:00Z")`, `8`}, Example{`hour("2026-07-01T08:00:00Z", "Asia/Tokyo")`, `17`}),
		number("minute", "The minute of the hour, from 0.", time.Time.Minute, Example{`minute("2026-11-30T08:05:00Z")`, `5`}, Example{`minute("2026-11-30T08:05:00Z", "Asia/Kolkata")`, `35`}),
		number("second", "The second of the minute, from 0.", time.Time.Second, Example{`second("2026-11-30T08:05:09Z")`, `9`}, Example{`second("2026-11-30")`, `0`}),
		number("weekday", "The day of the week, from 1 for Monday to 7 for Sunday.", weekday, Example{`weekday("2026-11-30")`, `1`}, Example{`weekday("2026-11-29")`, `7`}),
		number("dayOfYear", "The day of the year, from 1.", time.Time.YearDay, Example{`dayOfYear("2026-02-01")`, `32`}, Example{`dayOfYear("2026-12-31")`, `365`}),
		number("isoWeek", "The week of the year by ISO 8601, from 1.", func(t time.Time) int {
			_, w := t.ISOWeek()
			return w
		}, Example{`isoWeek("2026-11-30")`, `49`}, Example{`isoWeek("2027-01-01")`, `53`}),
		number("quarter", "The quarter of the year, from 1.", func(t time.Time) int { return (int(t.Month()) + 2) / 3 }, Example{`quarter("2026-11-30")`, `4`}, Example{`quarter("2026-03-31")`, `1`}),
		number("daysInMonth", "The number of days that the month has.", func(t time.Time) int { return daysIn(t.Year(), t.Month()) }, Example{`daysInMonth("2026-11-30")`, `30`}, Example{`daysInMonth("2028-02-01")`, `29`}),
		number("zoneOffset", "How far the zone is ahead of UTC at the time, in seconds.", func(t time.Time) int {
			_, offset := t.Zone()
			return offset
		}, Example{`zoneOffset("2026-07-01T12:00:00Z", "Europe/Berlin")`, `7200`}, Example{`zoneOffset("2026-12-01T12:00:00Z", "America/New_York")`, `-18000`}),
		number("unixMillis", "The milliseconds since 1970 UTC.", func(t time.Time) int { return int(t.UnixMilli()) }, Example{`unixMillis("1970-01-01T00:00:01.5Z")`, `1500`}, Example{`unixMillis("1970-01-02")`, `86400000`}),
		{
			name: "fromUnixMillis", group: group, params: []param{req("milliseconds", Int())}, returns: "time", result: gives(Time()),
			doc: "The time so many milliseconds after 1970 UTC.", examples: []Example{{`fromUnixMillis(1500)`, `"1970-01-01T00:00:01.5Z"`}, {`fromUnixMillis(0)`, `"1970-01-01T00:00:00Z"`}},
			do: func(f *frame, a []any) any { return f.dated(time.UnixMilli(int64(f.int(a[0]))).UTC()) },
		},
		{
			name: "isWeekend", group: group, params: []param{when, zone}, returns: "boolean", result: gives(Bool()),
			doc: "True on Saturday and Sunday.", examples: []Example{{`isWeekend("2026-11-29")`, `true`}, {`isWeekend("2026-11-29T23:30:00Z", "Europe/Berlin")`, `false`}},
			do: func(f *frame, a []any) any { return weekday(f.in(f.time(a[0]), a[1:])) > 5 },
		},
		{
			name: "isDate", group: group, params: []param{req("text", str), opt("layout", str)}, returns: "boolean", result: gives(Bool()),
			doc: "True when date() reads the text.", examples: []Example{{`isDate("2026-11-30")`, `true`}, {`isDate("2026-02-30")`, `false`}, {`isDate("30.11.2026", "02.01.2006")`, `true`}},
			do: func(f *frame, a []any) any {
				if len(a) > 1 {
					s, layout := f.str(a[0]), f.layout(a[1])
					_, err := time.Parse(layout, s[:min(len(s), 129)])
					return err == nil
				}
				_, ok := readTime(f, f.str(a[0]), time.UTC)
				return ok
			},
		},
		{
			name: "today", group: group, varies: true, params: []param{zone}, returns: "string", result: gives(str),
			doc: "The date of now(), as 2026-11-24, in UTC or the zone.", examples: []Example{{`today()`, `"2026-11-24"`}, {`today("Pacific/Auckland")`, `"2026-11-24"`}},
			do: func(f *frame, a []any) any { return f.in(f.now.UTC(), a).Format(time.DateOnly) },
		},
		{
			name: "isoDate", group: group, params: []param{when, zone}, returns: "string", result: gives(str),
			doc: "The date of a time, as 2026-11-30.", examples: []Example{{`isoDate("2026-11-30T08:05:00Z")`, `"2026-11-30"`}, {`isoDate("2026-11-30T23:30:00Z", "Europe/Berlin")`, `"2026-12-01"`}},
			do: func(f *frame, a []any) any { return f.dated(f.in(f.time(a[0]), a[1:])).Format(time.DateOnly) },
		},
		{
			name: "dateOf", group: group, params: []param{req("year", Int()), req("month", Int()), req("day", Int()), zone}, returns: "time", result: gives(Time()),
			doc: "The beginning of a day, in UTC or the zone.", examples: []Example{{`dateOf(2026, 11, 30)`, `"2026-11-30T00:00:00Z"`}, {`dateOf(2026, 7, 1, "Europe/Berlin")`, `"2026-07-01T00:00:00+02:00"`}},
			do: func(f *frame, a []any) any {
				y, m, d := f.int(a[0]), f.int(a[1]), f.int(a[2])
				if y < 0 || y > 9999 || m < 1 || m > 12 || d < 1 || d > daysIn(y, time.Month(m)) {
					f.fail("there is no day %d-%d-%d", y, m, d)
				}
				return time.Date(y, time.Month(m), d, 0, 0, 0, 0, f.in(time.Time{}, a[3:]).Location())
			},
		},
		add("addDays", "The time so many days later, at the same hour of its zone.", func(_ *frame, t time.Time, n int) time.Time { return t.AddDate(0, 0, n) },
			Example{`addDays("2026-11-30T08:00:00Z", 2)`, `"2026-12-02T08:00:00Z"`}, Example{`addDays(inZone("2026-10-24T08:00:00Z", "Europe/Berlin"), 1)`, `"2026-10-25T10:00:00+01:00"`}),
		add("addMonths", "The time so many months later, on the same day, or the last of a shorter month.", addMonths,
			Example{`addMonths("2026-01-31", 1)`, `"2026-02-28T00:00:00Z"`}, Example{`addMonths("2026-11-30", -12)`, `"2025-11-30T00:00:00Z"`}),
		add("addYears", "The time so many years later, on the same day, or the 28th of February.", func(f *frame, t time.Time, n int) time.Time { return addMonths(f, t, 12*n) },
			Example{`addYears("2028-02-29", 1)`, `"2029-02-28T00:00:00Z"`}, Example{`addYears("2026-11-30", 2)`, `"2028-11-30T00:00:00Z"`}),
		add("addBusinessDays", "The time so many days later, Saturdays and Sundays not counted.", addBusinessDays,
			Example{`addBusinessDays("2026-11-27", 1)`, `"2026-11-30T00:00:00Z"`}, Example{`addBusinessDays("2026-11-30", -6)`, `"2026-11-20T00:00:00Z"`}),
		edge("startOf", "The beginning of the year, quarter, month, week (Monday), day, hour, minute or second.", startOf,
			Example{`startOf("2026-11-30T08:05:00Z", "month")`, `"2026-11-01T00:00:00Z"`}, Example{`startOf("2026-11-29T08:05:00Z", "week", "Europe/Berlin")`, `"2026-11-23T00:00:00+01:00"`}),
		edge("endOf", "The last millisecond of the year, quarter, month, week, day, hour, minute or second.", func(t time.Time, unit string) time.Time {
			return next(startOf(t, unit), unit).Add(-time.Millisecond)
		}, Example{`endOf("2026-02-10", "month")`, `"2026-02-28T23:59:59.999Z"`}, Example{`endOf("2026-11-30T08:05:00Z", "hour")`, `"2026-11-30T08:59:59.999Z"`}),
		{
			name: "dateDiff", group: group, params: []param{req("from", of(kTime|kString)), req("to", of(kTime|kString)), req("unit", units).as(isUnit)}, returns: "integer", result: gives(Int()),
			doc:      "How many whole units lie between two times; negative when the second is the earlier one.",
			examples: []Example{{`dateDiff("2026-11-24", "2026-12-01", "day")`, `7`}, {`dateDiff("2026-01-31", "2026-03-30", "month")`, `1`}, {`dateDiff("2026-12-01", "2026-11-24", "week")`, `-1`}},
			do:       dateDiff,
		},
		length("inSeconds", "The duration in seconds.", time.Second, Example{`inSeconds(duration("1m30s"))`, `90`}, Example{`inSeconds(duration("1500ms"))`, `1.5`}),
		length("inMinutes", "The duration in minutes.", time.Minute, Example{`inMinutes(duration("1h"))`, `60`}, Example{`inMinutes(duration("90s"))`, `1.5`}),
		length("inHours", "The duration in hours.", time.Hour, Example{`inHours(date("2026-11-30") - date("2026-11-29"))`, `24`}, Example{`inHours(duration("90m"))`, `1.5`}),
		length("inDays", "The duration in days of 24 hours.", 24*time.Hour, Example{`inDays(date("2026-12-01") - date("2026-11-24"))`, `7`}, Example{`inDays(duration("36h"))`, `1.5`}),
		{
			name: "toIsoDuration", group: group, params: []param{req("duration", Duration())}, returns: "string", result: gives(str),
			doc: "The duration as ISO 8601 writes it.", examples: []Example{{`toIsoDuration(duration("1h30m"))`, `"PT1H30M"`}, {`toIsoDuration(duration("1500ms"))`, `"PT1.5S"`}},
			do: func(f *frame, a []any) any {
				d, ok := a[0].(time.Duration)
				if !ok {
					f.wrong("a duration", a[0])
				}
				if d == 0 {
					return "PT0S"
				}
				s, negative := strings.CutPrefix(durationTextIn(d), "-")
				s = "PT" + strings.ToUpper(s)
				if negative {
					return "-" + s
				}
				return s
			},
		},
	}
}

// in is the time in the zone that an argument gives, if it does.
func (f *frame) in(t time.Time, zone []any) time.Time {
	if len(zone) == 0 {
		return t
	}
	return t.In(f.zone(f.str(zone[0])))
}

// dated refuses a time that has no text.
func (f *frame) dated(t time.Time) time.Time {
	f.step(10)
	if y := t.Year(); y < 0 || y > 9999 {
		f.fail("the year %d is out of range; 0 to 9999 are known", y)
	}
	return t
}

func (f *frame) unit(v any) string {
	s := strings.TrimSuffix(f.str(v), "s")
	for _, u := range units.enum {
		if u == s {
			return s
		}
	}
	f.fail("unknown unit %s; year, quarter, month, week, day, hour, minute and second are known", clip(f.str(v)))
	return ""
}

// weekday counts from 1 for Monday.
func weekday(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

func addMonths(_ *frame, t time.Time, n int) time.Time {
	months := t.Year()*12 + int(t.Month()) - 1 + n
	year, month := months/12, time.Month(months%12+1)
	if months < 0 {
		year, month = -1, 1
	}
	return time.Date(year, month, min(t.Day(), daysIn(year, month)), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
}

func addBusinessDays(_ *frame, t time.Time, n int) time.Time {
	t = t.AddDate(0, 0, n/5*7)
	step := 1
	if n < 0 {
		step = -1
	}
	for left := n % 5; left != 0; {
		t = t.AddDate(0, 0, step)
		if weekday(t) <= 5 {
			left -= step
		}
	}
	for n != 0 && weekday(t) > 5 {
		t = t.AddDate(0, 0, step)
	}
	return t
}

func startOf(t time.Time, unit string) time.Time {
	y, m, d := t.Date()
	switch unit {
	case "year":
		m, d = 1, 1
	case "quarter":
		m, d = (m-1)/3*3+1, 1
	case "month":
		d = 1
	case "week":
		d -= weekday(t) - 1
	case "hour":
		return t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
	case "minute":
		return t.Add(-time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
	case "second":
		return t.Add(-time.Duration(t.Nanosecond()))
	}
	return time.Date(y, m, d, 0, 0, 0, 0, t.Location())
}

// next is one unit after a time at which one begins.
func next(t time.Time, unit string) time.Time {
	switch unit {
	case "year":
		return t.AddDate(1, 0, 0)
	case "quarter":
		return t.AddDate(0, 3, 0)
	case "month":
		return t.AddDate(0, 1, 0)
	case "week":
		return t.AddDate(0, 0, 7)
	case "day":
		return t.AddDate(0, 0, 1)
	case "hour":
		return t.Add(time.Hour)
	case "minute":
		return t.Add(time.Minute)
	}
	return t.Add(time.Second)
}

func dateDiff(f *frame, a []any) any {
	from, to := f.time(a[0]), f.time(a[1])
	unit := f.unit(a[2])
	months := 0
	switch unit {
	case "year":
		months = 12
	case "quarter":
		months = 3
	case "month":
		months = 1
	case "week":
		return int(to.Sub(from) / (7 * 24 * time.Hour))
	case "day":
		return int(to.Sub(from) / (24 * time.Hour))
	case "hour":
		return int(to.Sub(from) / time.Hour)
	case "minute":
		return int(to.Sub(from) / time.Minute)
	default:
		return int(to.Sub(from) / time.Second)
	}
	sign := 1
	if to.Before(from) {
		from, to, sign = to, from, -1
	}
	to = to.In(from.Location())
	n := (to.Year()-from.Year())*12 + int(to.Month()) - int(from.Month())
	if addMonths(f, from, n).After(to) {
		n--
	}
	return sign * (n / months)
}

// isoDuration reads P1W, P1DT2H3M4.5S and the like, with a sign before.
func isoDuration(s string) (time.Duration, bool) {
	s, negative := strings.CutPrefix(s, "-")
	s, ok := strings.CutPrefix(s, "P")
	if !ok || s == "" || strings.HasSuffix(s, "T") {
		return 0, false
	}
	days, clock, _ := strings.Cut(s, "T")
	total := 0.0
	for _, part := range []struct{ text, units string }{{days, "WD"}, {clock, "HMS"}} {
		text, left := part.text, part.units
		for text != "" {
			i := strings.IndexAny(text, left)
			if i <= 0 || !numeric(text[:i]) || strings.ContainsAny(text[:i], "+-eE") {
				return 0, false
			}
			n, err := strconv.ParseFloat(text[:i], 64)
			if err != nil {
				return 0, false
			}
			unit := text[i]
			switch unit {
			case 'W':
				n *= 7 * 24 * 3600
			case 'D':
				n *= 24 * 3600
			case 'H':
				n *= 3600
			case 'M':
				n *= 60
			}
			total += n
			left = left[strings.IndexByte(left, unit)+1:]
			text = text[i+1:]
			if left == "" && text != "" {
				return 0, false
			}
		}
	}
	if total*1e9 >= math.MaxInt64 {
		return 0, false
	}
	d := time.Duration(math.Round(total * 1e9))
	if negative {
		d = -d
	}
	return d, true
}

// durationTextIn writes hours, minutes and seconds alone, with fractions.
func durationTextIn(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign = "-"
	}
	n := uint64(d.Abs())
	h, rest := n/uint64(time.Hour), n%uint64(time.Hour)
	m, rest := rest/uint64(time.Minute), rest%uint64(time.Minute)
	var b strings.Builder
	b.WriteString(sign)
	if h > 0 {
		b.WriteString(strconv.FormatUint(h, 10) + "h")
	}
	if m > 0 {
		b.WriteString(strconv.FormatUint(m, 10) + "m")
	}
	if rest > 0 {
		b.WriteString(strconv.FormatUint(rest/1e9, 10))
		if fraction := rest % 1e9; fraction > 0 {
			digits := strconv.FormatUint(1e9+fraction, 10)[1:]
			b.WriteString("." + strings.TrimRight(digits, "0"))
		}
		b.WriteByte('s')
	}
	return b.String()
}
