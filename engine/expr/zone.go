package expr

import (
	_ "embed" // for the zones
	"encoding/binary"
	"strconv"
	"strings"
	"sync"
	"time"
)

// zoneinfo is the IANA time zone database, release 2025c: lib/time/zoneinfo.zip
// of the Go toolchain, byte for byte. The zones of the host are never read, so
// that a run gives the same on each machine.
//
//go:embed zoneinfo.zip
var zoneinfo string

// zoneTable finds the zones in the archive. Its files aren't compressed, so a
// zone is a part of the archive's text.
var zoneTable = sync.OnceValue(func() map[string]string { return readZones(zoneinfo) })

// readZones reads the central directory of an archive whose files are stored as
// they are (PKWARE APPNOTE 4.3.12 and 4.3.16). What doesn't fit is left out.
func readZones(archive string) map[string]string {
	const (
		end, endSize      = "PK\x05\x06", 22
		entry, entrySize  = "PK\x01\x02", 46
		local, headerSize = "PK\x03\x04", 30
	)
	u16 := func(at int) int { return int(binary.LittleEndian.Uint16([]byte(archive[at : at+2]))) }
	u32 := func(at int) int { return int(binary.LittleEndian.Uint32([]byte(archive[at : at+4]))) }
	tail := strings.LastIndex(archive, end)
	if tail < 0 || tail+endSize > len(archive) {
		return nil
	}
	out := make(map[string]string, u16(tail+10))
	for at := u32(tail + 16); at+entrySize <= tail && archive[at:at+4] == entry; {
		size, names, more, comment, header := u32(at+20), u16(at+28), u16(at+30), u16(at+32), u32(at+42)
		stored := u16(at+10) == 0
		name := archive[at+entrySize : at+entrySize+names]
		at += entrySize + names + more + comment
		if !stored || header+headerSize > len(archive) || archive[header:header+4] != local {
			continue
		}
		from := header + headerSize + u16(header+26) + u16(header+28)
		if from+size <= len(archive) && !strings.HasSuffix(name, "/") {
			out[name] = archive[from : from+size]
		}
	}
	return out
}

// namedZone gives a zone of the embedded database.
func namedZone(name string) (*time.Location, bool) {
	data, ok := zoneTable()[name]
	if !ok {
		return nil, false
	}
	loc, err := time.LoadLocationFromTZData(name, []byte(data))
	return loc, err == nil
}

// zone knows UTC, offsets like +02:00, and the places of the embedded database
// by their names. A zone that was found is kept for the rest of the evaluation.
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
	if f.place != nil && f.place.String() == s {
		f.step(1)
		return f.place
	}
	f.step(1000)
	f.alloc(8 << 10)
	if loc, ok := namedZone(s); ok {
		f.place = loc
		return loc
	}
	f.fail("unknown zone %s; %s", clip(s), zoneHint(s))
	return nil
}

func zoneHint(s string) string {
	if near := nearestZone(s); near != "" {
		return didYouMean(near)
	}
	return `"UTC", offsets like "+02:00" and names like "Europe/Berlin" are known`
}

func nearestZone(s string) string { return Nearest(s, sortedNames(zoneTable())) }
