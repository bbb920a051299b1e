package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tappet-dev/tappet/sdk"
)

// hostile are hosts of URLs that must not be connected to: several of each
// range, in several notations.
func hostile() []string {
	return []string{
		"0.0.0.0", "0.1.2.3", "0.255.255.255",
		"10.0.0.0", "10.1.2.3", "10.255.255.255",
		"100.64.0.1", "100.100.100.200", "100.127.255.255",
		"127.0.0.1", "127.1.2.3", "127.255.255.254",
		"169.254.0.1", "169.254.169.254", "169.254.170.2",
		"168.63.129.16",
		"172.16.0.1", "172.20.1.1", "172.31.255.255",
		"192.0.0.1", "192.0.0.170", "192.0.2.1", "192.0.2.255", "192.88.99.1",
		"192.168.0.1", "192.168.255.255",
		"198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
		"224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.254", "255.255.255.255",
		"[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[::8.8.8.8]", "[::ffff]",
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[::ffff:0.0.0.0]",
		"[::ffff:0:127.0.0.1]", "[::ffff:0:a00:1]",
		"[64:ff9b::127.0.0.1]", "[64:ff9b::a00:1]", "[64:ff9b::169.254.169.254]", "[64:ff9b::]",
		"[64:ff9b:1::1]", "[64:ff9b:1:7f00:0:100::]", "[64:ff9b:1::808:808]",
		"[2002:7f00:1::]", "[2002:a00:1::1]", "[2002:a9fe:a9fe::]", "[2002:c0a8:101:1::1]",
		"[2001::1]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[2001:2::1]", "[2001:10::1]", "[2001:20::1]",
		"[2001:db8::1]", "[2001:db8:ffff::]", "[3fff::1]", "[3fff:fff::1]",
		"[fc00::1]", "[fd00:ec2::254]", "[fdff:ffff::1]",
		"[fe80::1]", "[febf::1]", "[fe80::1%25lo]", "[fec0::1]", "[feff::1]",
		"[ff02::1]", "[ff0e::1]",
		"[100::1]", "[5f00::1]", "[4000::1]", "[8000::1]", "[e000::1]",
	}
}

// open are public addresses, plain and translated: the guard must not mind them.
func open() []string {
	return []string{
		"1.1.1.1:443", "8.8.8.8:53", "9.255.255.255:80", "11.0.0.0:80", "100.63.255.255:80", "100.128.0.0:80",
		"126.255.255.255:80", "128.0.0.0:80", "168.63.129.15:80", "172.15.255.255:80", "172.32.0.0:80",
		"192.0.1.0:80", "192.167.255.255:80", "192.169.0.0:80", "198.17.255.255:80", "198.20.0.0:80", "223.255.255.255:80",
		"[2606:4700:4700::1111]:443", "[2001:4860:4860::8888]:443", "[2a00:1450::1]:80", "[2003::1]:80",
		"[::ffff:8.8.8.8]:80", "[64:ff9b::8.8.8.8]:80", "[2002:808:808::1]:80",
	}
}

func TestSec01_GuardRefusesEveryRangeAndNotation(t *testing.T) {
	t.Parallel()
	c := New(Options{})
	defer c.Close()
	for _, host := range hostile() {
		var x Exchange
		_, err := c.Do(t.Context(), &sdk.Request{URL: "http://" + host + ":7/"}, func(got Exchange) { x = got })
		var refusal *Refusal
		if sdk.KindOf(err) != sdk.Denied || !errors.As(err, &refusal) || !strings.Contains(err.Error(), "egress.allow") {
			t.Errorf("%s: %v, want a refusal that says what to do", host, err)
		}
		if x.Kind != sdk.Denied || x.Remote != "" {
			t.Errorf("%s: the exchange says %q, connected to %q", host, x.Kind, x.Remote)
		}
	}
}

func TestSec01_GuardLetsPublicAddressesThrough(t *testing.T) {
	t.Parallel()
	g := newGuard(nil)
	for _, address := range open() {
		if err := g.check(address); err != nil {
			t.Error(err)
		}
	}
}

func TestSec01_SpellingsThatOnlyCResolversTakeAreNoAddresses(t *testing.T) {
	t.Parallel()
	c := New(Options{Allow: everything(t)})
	defer c.Close()
	for _, host := range []string{"2130706433", "0x7f000001", "127.1", "127.0.1", "0177.0.0.1", "0x7f.1", "127.0.0.1.", "1.2.3.256"} {
		if _, err := c.Do(t.Context(), &sdk.Request{URL: "http://" + host + ":7/"}, nil); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%s: %v, want kind invalid", host, err)
		}
	}
}

func everything(t testing.TB) Allow {
	t.Helper()
	return mustAllow(t, "0.0.0.0/0", "::/0")
}

func mustAllow(t testing.TB, entries ...string) Allow {
	t.Helper()
	a, err := ParseAllow(entries)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSec01_AllowNamesAddressAndPort(t *testing.T) {
	t.Parallel()
	g := newGuard(mustAllow(t, "127.0.0.1:7701", "10.0.0.0/8", "[::1]:80", "192.168.0.0/16:443", "fd00::/8"))
	for address, want := range map[string]bool{
		"127.0.0.1:7701": true, "[::ffff:127.0.0.1]:7701": true, "[64:ff9b::127.0.0.1]:7701": true,
		"127.0.0.1:7702": false, "127.0.0.2:7701": false,
		"10.9.9.9:1": true, "[2002:a09:909::1]:1": true,
		"[::1]:80": true, "[::1]:81": false,
		"192.168.3.4:443": true, "192.168.3.4:80": false,
		"[fd12::1]:9": true, "[fe80::1%eth0]:9": false,
		"8.8.8.8:80": true,
	} {
		if err := g.check(address); (err == nil) != want {
			t.Errorf("%s: %v, want it allowed: %v", address, err, want)
		}
	}
}

func TestParseAllowSaysWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for entry, says := range map[string]string{
		"":                    "neither an address nor a range",
		"localhost:80":        "names can't be allowed",
		"example.com":         "names can't be allowed",
		"127.0.0.1:":          "a port that is not a number from 1 to 65535",
		"127.0.0.1:0":         "a port that is not",
		"127.0.0.1:65536":     "a port that is not",
		"127.0.0.1:080":       "a port that is not",
		"10.0.0.1/8":          "10.0.0.0/8 is the range",
		"10.0.0.0/33":         "neither an address",
		"[::1":                "no closing bracket",
		"[::1]80":             "more than a port",
		"fe80::1%eth0":        "has a zone",
		"::ffff:10.0.0.0/104": "write the IPv4 range",
		"*":                   "neither an address",
	} {
		_, err := ParseAllow([]string{"1.2.3.4", entry})
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "egress.allow[1]") {
			t.Errorf("%q: %v, want egress.allow[1] and %q", entry, err, says)
		}
	}
}

func TestSec01_RedirectToARefusedAddress(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer inside.Close()
	outside := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusFound))
	defer outside.Close()
	c := New(Options{Allow: mustAllow(t, outside.Listener.Addr().String())})
	defer c.Close()
	if _, err := c.Do(t.Context(), &sdk.Request{URL: outside.URL}, nil); sdk.KindOf(err) != sdk.Denied {
		t.Errorf("the redirect gives %v, want kind denied", err)
	}
	if reached.Load() {
		t.Error("the service inside was reached")
	}
}

// A name that first means an allowed address and then another one is judged
// each time it is dialled.
func TestSec01_NameThatIsBoundAgain(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
	}))
	defer s.Close()
	port := netip.MustParseAddrPort(s.Listener.Addr().String()).Port()
	dns := newDNS(t, netip.MustParseAddr("127.0.0.1"))
	c := New(Options{Allow: mustAllow(t, s.Listener.Addr().String()), Resolver: dns.resolver})
	defer c.Close()
	url := "http://rebind.test:" + itoa(port) + "/"
	resp, err := c.Do(t.Context(), &sdk.Request{URL: url}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, to := range []string{"127.0.0.2", "169.254.169.254", "10.0.0.1"} {
		dns.answer.Store(netip.MustParseAddr(to))
		if _, err := c.Do(t.Context(), &sdk.Request{URL: url}, nil); sdk.KindOf(err) != sdk.Denied {
			t.Errorf("bound to %s: %v, want kind denied", to, err)
		}
	}
}

func itoa(n uint16) string {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), n).String()[len("0.0.0.0:"):]
}

// nameServer answers questions for addresses: of a name in its zone as that
// says, of every other with one A record.
type nameServer struct {
	answer   atomic.Value // netip.Addr
	missing  atomic.Bool  // no name exists
	zone     map[string][]string
	resolver *net.Resolver
}

// newDNS starts a name server whose every name means first.
func newDNS(t testing.TB, first netip.Addr) *nameServer {
	t.Helper()
	s := newZone(t, nil)
	s.answer.Store(first)
	return s
}

// newZone starts one for a zone: by name its addresses, IPv4 and IPv6, in order,
// or the one name that it stands for.
func newZone(t testing.TB, zone map[string][]string) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &nameServer{zone: zone}
	s.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := s.reply(buf[:n]); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return s
}

// reply makes the answer to one question (RFC 1035, 4.1): the records of its
// type, after those that lead there.
func (s *nameServer) reply(q []byte) []byte {
	var labels []string
	end := 12
	for end < len(q) && q[end] != 0 {
		next := end + int(q[end]) + 1
		if next > len(q) {
			return nil
		}
		labels = append(labels, string(q[end+1:next]))
		end = next
	}
	end += 5
	if end > len(q) {
		return nil
	}
	out := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	if s.missing.Load() {
		out[3] |= 3 // NXDOMAIN
		return out
	}
	question := binary.BigEndian.Uint16(q[end-4:])
	record := func(name string, kind uint16, data []byte) {
		out[7]++
		out = binary.BigEndian.AppendUint16(append(out, wireName(name)...), kind)
		out = binary.BigEndian.AppendUint16(append(out, 0, 1, 0, 0, 0, 0), uint16(len(data)))
		out = append(out, data...)
	}
	name := strings.ToLower(strings.Join(labels, "."))
	for {
		values, known := s.zone[name]
		if !known {
			if one, ok := s.answer.Load().(netip.Addr); ok {
				values = []string{one.String()}
			}
		}
		alias := ""
		for _, v := range values {
			ip, err := netip.ParseAddr(v)
			switch {
			case err != nil:
				alias = v
				record(name, 5, wireName(v))
			case ip.Is4() && question == 1, ip.Is6() && question == 28:
				record(name, question, ip.AsSlice())
			}
		}
		if name = alias; alias == "" {
			return out
		}
	}
}

// wireName writes a name as its labels.
func wireName(name string) []byte {
	var out []byte
	for label := range strings.SplitSeq(name, ".") {
		out = append(append(out, byte(len(label))), label...)
	}
	return append(out, 0)
}

func FuzzParseAllow(f *testing.F) {
	for _, s := range []string{"127.0.0.1:7701", "10.0.0.0/8", "[::1]:80", "[fd00::/8]:443", "::ffff:1.2.3.4", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAllow([]string{s})
		if err != nil {
			return
		}
		port := a[0].port
		if port == 0 {
			port = 1
		}
		if err := newGuard(a).check(netip.AddrPortFrom(a[0].prefix.Addr(), port).String()); err != nil {
			t.Fatalf("%q allows %v, but %v", s, a[0].prefix, err)
		}
	})
}

func BenchmarkGuardCheck(b *testing.B) {
	g := newGuard(nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := g.check("93.184.216.34:443"); err != nil {
			b.Fatal(err)
		}
	}
}
