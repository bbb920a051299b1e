package expr

import (
	"strings"
	"testing"
	"time"
)

func TestZones(t *testing.T) {
	t.Parallel()
	if n := len(zoneTable()); n < 500 {
		t.Fatalf("%d zones", n)
	}
	for name := range zoneTable() {
		if _, ok := namedZone(name); !ok {
			t.Errorf("the zone %s can't be read", name)
		}
	}
	for _, name := range []string{"", ".", "..", "/etc/localtime", "Local", "Europe/", "europe/berlin", strings.Repeat("a", 1<<16)} {
		if _, ok := namedZone(name); ok {
			t.Errorf("there is a zone %.20q", name)
		}
	}
}

// A broken archive has no zones, and does no harm.
func TestZonesOfABrokenArchive(t *testing.T) {
	t.Parallel()
	if n := len(readZones("")) + len(readZones("PK\x05\x06")) + len(readZones(strings.Repeat("PK\x05\x06", 20))); n != 0 {
		t.Errorf("%d zones", n)
	}
}

// Calendar arithmetic goes by the clocks of the zone, where they are changed.
func TestZonesWhereClocksChange(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`addDays(inZone("2026-03-28T07:00:00Z", "Europe/Berlin"), 1)`:                 `2026-03-29T08:00:00+02:00`,
		`inZone("2026-03-28T07:00:00Z", "Europe/Berlin") + duration("24h")`:           `2026-03-29T09:00:00+02:00`,
		`date("2026-03-29 02:30", "2006-01-02 15:04", "Europe/Berlin")`:               `2026-03-29T03:30:00+02:00`,
		`date("2026-10-25 02:30", "2006-01-02 15:04", "Europe/Berlin")`:               `2026-10-25T02:30:00+01:00`,
		`startOf("2026-10-25T12:00:00Z", "day", "Europe/Berlin")`:                     `2026-10-25T00:00:00+02:00`,
		`endOf("2026-10-25T12:00:00Z", "day", "Europe/Berlin")`:                       `2026-10-25T23:59:59.999+01:00`,
		`addMonths(date("2026-10-25 02:30", "2006-01-02 15:04", "Europe/Berlin"), 1)`: `2026-11-25T02:30:00+01:00`,
		`inZone("1900-01-01T00:00:00Z", "America/New_York")`:                          `1899-12-31T19:00:00-05:00`,
		`inZone("2060-07-01T00:00:00Z", "America/New_York")`:                          `2060-06-30T20:00:00-04:00`,
		`string(dateDiff("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "hour"))`:    `25`,
		`startOf("2026-11-29T23:30:00Z", "week", "Pacific/Auckland")`:                 `2026-11-30T00:00:00+13:00`,
		`addBusinessDays(inZone("2026-03-27T07:00:00Z", "Europe/Berlin"), 1)`:         `2026-03-30T08:00:00+02:00`,
		`formatDate("2026-07-01T12:00:00Z", "15:04 MST", "Europe/Berlin")`:            `14:00 CEST`,
		`addMonths("2026-03-31", -1)`:                                                 `2026-02-28T00:00:00Z`,
		`addYears("2024-02-29", 4)`:                                                   `2028-02-29T00:00:00Z`,
	} {
		p, problems := Compile(src, nil)
		if p == nil {
			t.Errorf("%s: %v", src, problems)
			continue
		}
		v, err := p.Eval(&Env{})
		if at, ok := v.(time.Time); ok {
			v = at.Format(time.RFC3339Nano)
		}
		if v != want || err != nil {
			t.Errorf("%s: %v, %v; want %s", src, v, err, want)
		}
	}
}

// A layout of another language is refused where it is written, with Go's.
func TestForeignLayouts(t *testing.T) {
	t.Parallel()
	_, problems := Compile(`formatDate("2026-11-30", "YYYY-MM-DD HH:mm")`, nil)
	if len(problems) != 1 || problems[0].Hint != `write "2006-01-02 15:04"` {
		t.Error(problems)
	}
	p, _ := Compile(`formatDate("2026-11-30", x)`, NewScope(Var{Name: "x"}))
	if v, err := p.Eval(&Env{Values: []any{"%Y-%m-%d"}}); err == nil || !strings.Contains(err.Error(), `write "2006-01-02"`) {
		t.Error(v, err)
	}
}
