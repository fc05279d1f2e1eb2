// Package secret keeps secrets from being printed, and reads them from where a reference points.
//
// Resources never hold a secret, they hold a Ref to a file or an environment variable. What is read is a String, which
// prints as [redacted] everywhere; only Reveal shows it, so every use of a secret can be found by that word.
package secret

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
)

const redacted = "[redacted]"

// maxBytes bounds a secret file: a reference to the wrong file must not fill memory.
const maxBytes = 64 << 10

// String is a secret. Its zero value is the empty secret.
type String struct{ value string }

// NewString makes a secret of a value.
func NewString(value string) String { return String{value} }

// Reveal returns the secret itself.
func (s String) Reveal() string { return s.value }

// IsZero reports whether the secret is empty.
func (s String) IsZero() bool { return s.value == "" }

// String, GoString, Format, MarshalText and LogValue all print [redacted].
func (s String) String() string { return redacted }

// GoString is what %#v prints.
func (s String) GoString() string { return redacted }

// Format answers every verb.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText is what JSON and YAML write.
func (s String) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is what slog writes.
func (s String) LogValue() slog.Value { return slog.StringValue(redacted) }

// Ref says where a secret is: exactly one of File and Env is set.
type Ref struct {
	File string
	Env  string
}

// Read fetches the secret. One trailing newline is dropped, since editors and `kubectl create secret` add it. It
// fails when neither or both places are named, when the place is empty, or when the file is larger than 64 KiB.
func (r Ref) Read() (String, error) {
	switch {
	case r.File != "" && r.Env != "":
		return String{}, fmt.Errorf("secret reference names both file %q and env %q: keep one", r.File, r.Env)
	case r.Env != "":
		if v, ok := os.LookupEnv(r.Env); ok && v != "" {
			return String{v}, nil
		}
		return String{}, fmt.Errorf("environment variable %q is not set", r.Env)
	case r.File != "":
		return readFile(r.File)
	default:
		return String{}, fmt.Errorf("secret reference is empty: name a file or an env")
	}
}

func readFile(path string) (String, error) {
	f, err := os.Open(path)
	if err != nil {
		return String{}, fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return String{}, fmt.Errorf("read secret %s: %w", path, err)
	}
	if len(b) > maxBytes {
		return String{}, fmt.Errorf("secret %s is larger than %d bytes: is it the right file?", path, maxBytes)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return String{}, fmt.Errorf("secret %s is empty", path)
	}
	return String{string(b)}, nil
}
