package lines_test

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/libs/lines"
)

func TestNext(t *testing.T) {
	long := strings.Repeat("x", 40)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"empty":               {"", nil},
		"lines":               {"a\nb\n", []string{"a\n", "b\n"}},
		"no end of line":      {"a\nb", []string{"a\n", "b"}},
		"empty lines":         {"\n\n", []string{"\n", "\n"}},
		"too long":            {"a\n" + long + "\nb\n", []string{"a\n", "too long", "b\n"}},
		"too long at the end": {"a\n" + long, []string{"a\n", "too long"}},
		"as long as may be":   {strings.Repeat("y", 15) + "\nb", []string{strings.Repeat("y", 15) + "\n", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(c.text)), 16)
			var got []string
			var passed strings.Builder
			for {
				line, tooLong, err := lines.Next(in, func(p []byte) { passed.Write(p) })
				if errors.Is(err, io.EOF) {
					break
				}
				switch {
				case err != nil:
					t.Fatal(err)
				case tooLong:
					got = append(got, "too long")
				default:
					got = append(got, string(line))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if passed.String() != c.text {
				t.Errorf("passed %q of %q", passed.String(), c.text)
			}
		})
	}
}

func TestNext_ABrokenTextIsNoEnd(t *testing.T) {
	broken := errors.New("broken")
	in := bufio.NewReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)))
	if line, _, err := lines.Next(in, nil); string(line) != "a\n" || err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	if line, _, err := lines.Next(in, nil); line != nil || !errors.Is(err, broken) {
		t.Errorf("%q, %v", line, err)
	}
}
