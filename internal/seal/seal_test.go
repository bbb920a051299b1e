package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tappet-dev/tappet/internal/seal"
)

var update = flag.Bool("update", false, "rewrite golden files")

func keyOf(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, seal.KeyBytes))
}

func mustParse(t testing.TB, keys string) *seal.Ring {
	t.Helper()
	r, err := seal.Parse(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSec05_SealedBoxOpensInItsPlaceAlone(t *testing.T) {
	t.Parallel()
	r := mustParse(t, keyOf(1))
	plain, place := []byte("hunter2 hunter2"), []byte("connections/7")
	box := r.Seal(plain, place)
	if bytes.Contains(box, plain) {
		t.Fatal("the box shows what is in it")
	}
	if again := r.Seal(plain, place); bytes.Equal(again, box) {
		t.Error("two boxes of the same are the same")
	}
	if got, err := r.Open(box, place); err != nil || !bytes.Equal(got, plain) { // the control of what follows
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := r.Open(box, []byte("connections/8")); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("in another place: %v", err)
	}
	for i := range box {
		bad := bytes.Clone(box)
		bad[i] ^= 1
		if _, err := r.Open(bad, place); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("with byte %d changed: %v", i, err)
		}
		if _, err := r.Open(box[:i], place); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestSec05_KeysRotate(t *testing.T) {
	t.Parallel()
	place := []byte("secrets/forms")
	old := mustParse(t, keyOf(1))
	box := old.Seal([]byte("value"), place)
	both := mustParse(t, keyOf(2)+","+keyOf(1))
	if both.KeyID() == old.KeyID() {
		t.Fatal("the first key doesn't seal")
	}
	if got, err := both.Open(box, place); err != nil || string(got) != "value" {
		t.Fatalf("the second key opens %q, %v", got, err)
	}
	fresh, changed, err := both.Reseal(box, place)
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	if _, changed, err := both.Reseal(fresh, place); err != nil || changed {
		t.Error("resealed twice", changed, err)
	}
	alone := mustParse(t, keyOf(2))
	if got, err := alone.Open(fresh, place); err != nil || string(got) != "value" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := alone.Open(box, place); !errors.Is(err, seal.ErrOpen) || !strings.Contains(err.Error(), old.KeyID()) {
		t.Errorf("without its key: %v, want the id %s", err, old.KeyID())
	}
}

// The format is on disk.
func TestBoxFormat(t *testing.T) {
	t.Parallel()
	r, file := mustParse(t, keyOf(7)), filepath.Join("testdata", "box")
	if *update {
		text := base64.StdEncoding.EncodeToString(r.Seal([]byte("kept"), []byte("secrets/a")))
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	box, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Open(box, []byte("secrets/a")); err != nil || string(got) != "kept" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string]string{
		"none": "", "a comment alone": "# " + keyOf(1), "no base64": "héllo", "short": "AAAA", "twice": keyOf(1) + "\n" + keyOf(1),
		"a good and a bad one": keyOf(1) + "," + keyOf(2)[1:], "too many": tooMany(),
	} {
		if _, err := seal.Parse(keys); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), keyOf(2)[1:]) {
			t.Errorf("%s: %v shows the key", name, err)
		}
	}
}

func tooMany() string {
	var b strings.Builder
	for i := range 65 {
		b.WriteString(keyOf(byte(i)) + "\n")
	}
	return b.String()
}

func TestSec14_KeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret.key")
	// Processes that start at once have one key.
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			r, err := seal.Open(path, "")
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = r.KeyID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("keys %v", ids)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
	before, err := seal.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	box := before.Seal([]byte("value"), nil)
	if err := seal.Rotate(path); err != nil {
		t.Fatal(err)
	}
	after, err := seal.Open(path, "")
	if err != nil || after.KeyID() == before.KeyID() {
		t.Fatal("not rotated", err)
	}
	if got, err := after.Open(box, nil); err != nil || string(got) != "value" {
		t.Errorf("after the rotation: %q, %v", got, err)
	}
	if r, err := seal.Open(path, keyOf(9)); err != nil || r.KeyID() != mustParse(t, keyOf(9)).KeyID() {
		t.Error("TAPPET_KEY doesn't come first", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Open(path, ""); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others can read: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	r := mustParse(f, keyOf(1))
	f.Add(r.Seal([]byte("value"), []byte("a")), []byte("a"))
	f.Add([]byte{1}, []byte(""))
	f.Fuzz(func(t *testing.T, box, place []byte) {
		if plain, err := r.Open(box, place); err == nil && string(plain) != "value" {
			t.Errorf("a box that nobody has sealed opens: %q", plain)
		}
	})
}
