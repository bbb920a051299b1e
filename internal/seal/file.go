package seal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// maxFile bounds a key file in bytes.
const maxFile = 64 << 10

// Open gives the ring of keys, the value of TAPPET_KEY; where that is empty, of
// the file at path, which is made with a new key if there is none yet. The file
// has the form of Parse and belongs to its owner alone (0600).
func Open(path, keys string) (*Ring, error) {
	if keys != "" {
		r, err := Parse(keys)
		if err != nil {
			return nil, fmt.Errorf("TAPPET_KEY: %w", err)
		}
		return r, nil
	}
	text, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		// Of two processes that start at once, one writes and both read that.
		if err = write(path, newKey(), os.Link); err == nil || errors.Is(err, fs.ErrExist) {
			text, err = read(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	r, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return r, nil
}

// Rotate puts a new key before those of the file. What is sealed stays readable
// by the ring that a later Open gives, and Reseal brings it under the new key.
func Rotate(path string) error {
	text, err := read(path)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	text = newKey() + text
	if _, err := Parse(text); err != nil {
		return fmt.Errorf("key file %s: %w", path, err)
	}
	if err := write(path, text, os.Rename); err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	return nil
}

func newKey() string {
	var raw [KeyBytes]byte
	_, _ = rand.Read(raw[:]) // never fails
	return base64.StdEncoding.EncodeToString(raw[:]) + "\n"
}

func read(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others (mode %04o); chmod 600 makes it the owner's alone", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes, which is no key file", path, maxFile)
	}
	return string(text), err
}

// write brings a file to path whole, or not at all; place is os.Link where there
// must be none yet, os.Rename where it takes the place of one.
func write(path, text string, place func(from, to string) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".key-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err = f.WriteString(text); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = place(f.Name(), path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && runtime.GOOS != "windows" {
		return err
	}
	return nil
}
