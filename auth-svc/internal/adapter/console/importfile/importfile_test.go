package importfile_test

import (
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"cloakroom.dev/auth-svc/internal/adapter/console/importfile"
	"cloakroom.dev/auth-svc/internal/identity"
)

func all(t *testing.T, r *importfile.Reader) (got []identity.Incoming) {
	t.Helper()
	for {
		in, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, in)
	}
}

// FuzzReader cuts an input behind each line: a second reader that skips to there must say the same, and see the same rest.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"{\"username\":\"a\"}\n{\"id\":7,\"password_hash\":\"x\"}", "\xef\xbb\xbf{}\r\n\r\n{}\r\n", "\n\n\n", "{\"id\":{\"a\":1}}", "{\"a\"", "\x00\n\xff",
		"{\"password\":{\"algorithm\":\"scrypt\",\"n\":1099511627776}}\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole := all(t, importfile.NewReader(strings.NewReader(text)))
		for i, in := range whole[:min(len(whole), 20)] {
			r := importfile.NewReader(strings.NewReader(text))
			if same, err := r.Skip(in.End); !same || err != nil {
				t.Fatalf("behind line %d: %v, %v", in.End.Lines, same, err)
			}
			rest := all(t, r)
			if len(rest) != len(whole)-i-1 || !slices.EqualFunc(rest, whole[i+1:], func(a, b identity.Incoming) bool { return a.End == b.End }) {
				t.Fatalf("behind line %d there are %d lines, want %d", in.End.Lines, len(rest), len(whole)-i-1)
			}
			if in.End.Bytes > 0 {
				other := "x" + text[1:]
				if same, _ := importfile.NewReader(strings.NewReader(other)).Skip(in.End); same && other != text {
					t.Fatal("another input is taken for the same")
				}
			}
		}
	})
}

func TestReader_GoesOnBehindALineThatHadNoEnd(t *testing.T) {
	const cut = `{"username":"a"}` + "\n" + `{"username":"b"}`
	lines := all(t, importfile.NewReader(strings.NewReader(cut)))
	for rest, want := range map[string]int{"": 0, "\n": 0, "\r\n": 0, "\n" + `{"username":"c"}`: 1, `xyz`: -1, "\rx": -1} {
		r := importfile.NewReader(strings.NewReader(cut + rest))
		same, err := r.Skip(lines[1].End)
		if err != nil || same != (want >= 0) {
			t.Errorf("followed by %q: %v, %v", rest, same, err)
			continue
		}
		if got := len(all(t, r)); same && got != want {
			t.Errorf("followed by %q: %d lines, want %d", rest, got, want)
		}
	}
}

// endless is a line that never ends, up to n bytes.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.n <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), e.n)
	for i := range p[:n] {
		p[i] = '['
	}
	e.n -= n
	return int(n), nil
}

func TestReader_KeepsNothingOfALineThatIsTooLong(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	lines := all(t, importfile.NewReader(&endless{200 << 20}))
	runtime.ReadMemStats(&after)
	if len(lines) != 1 || lines[0].Bad[0].Code != "TOO_LONG" || lines[0].End.Bytes != 200<<20 {
		t.Errorf("read %+v", lines)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d bytes for a line that is thrown away", took)
	}
}
