package web_test

import (
	"encoding/json"
	"testing"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

type position struct {
	At string `json:"at"`
	ID string `json:"id"`
}

// FuzzCursor feeds cursors, and positions to make them of: what was sealed comes back as it was, and nothing else opens.
func FuzzCursor(f *testing.F) {
	codec := web.NewCursorCodec([32]byte{7})
	first := position{"2026-11-21", "1"}
	good := codec.Seal(first)
	for _, raw := range []string{good, good[1:], good + "A", good + "=", "", "AAAA", "\x00", web.NewCursorCodec([32]byte{8}).Seal(position{})} {
		f.Add(raw, "at", "id", uint16(3), byte(1))
	}
	f.Fuzz(func(t *testing.T, raw, at, id string, where uint16, what byte) {
		var got position
		switch err := codec.Open(raw, &got); {
		case err == nil && got != first: // the fuzzer's workers seal a first one each, all of the same position
			t.Fatalf("%q opens as %+v", raw, got)
		case err != nil && fault.KindOf(err) != fault.Invalid:
			t.Fatalf("%q: %v", raw, err)
		}
		want := position{at, id}
		sealed := codec.Seal(want)
		if len(sealed) > 2048 {
			return // longer than any position of ours; Open refuses it
		}
		if again := codec.Seal(want); again == sealed {
			t.Fatalf("two cursors of %+v are one", want)
		}
		bent := []byte(sealed)
		bent[int(where)%len(bent)] ^= what
		if err := codec.Open(string(bent), &got); err == nil && string(bent) != sealed {
			t.Fatalf("%q opens, and was %q", bent, sealed)
		}
		plain, _ := json.Marshal(want) // broken text comes back as JSON writes it
		_ = json.Unmarshal(plain, &want)
		if err := codec.Open(sealed, &got); err != nil || got != want {
			t.Fatalf("%+v comes back as %+v, %v", want, got, err)
		}
	})
}

// everything is one of each sort that a body can hold.
type everything struct {
	Text   string            `json:"text"`
	Maybe  *string           `json:"maybe"`
	Flag   bool              `json:"flag"`
	Number int64             `json:"number"`
	List   []string          `json:"list"`
	Map    map[string]string `json:"map"`
	At     web.Time          `json:"at"`
	Inner  struct {
		Text string `json:"text"`
	} `json:"inner"`
}

// FuzzDecode looks for a body that is taken and means something else to an ordinary reader, or to ourselves a second time.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"text":"a","number":1,"list":["b"],"map":{"c":"d"},"inner":{"text":"e"}}`, `{"maybe":null}`, `{"text":"\ud83d\ude00"}`,
		`{"text":"\ud800"}`, `{"Text":"a"}`, `{"text":"a","text":"b"}`, `{"inner":{"text":"a","text":"b"}}`, `{"map":{"a":"b","a":"c"}}`,
		`{"number":1e3}`, `{"number":9223372036854775808}`, `{"at":"2026-11-21T12:00:00.1234567+01:00"}`, `{"te\u0078t":"a"}`, `{} {}`, `[[[[[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var first everything
		if err := web.Decode(raw, &first); err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		var plain everything
		if err := json.Unmarshal(raw, &plain); err != nil {
			t.Fatalf("%q is taken, and is no JSON: %v", raw, err)
		}
		want, have := render(t, plain), render(t, first)
		if want != have {
			t.Fatalf("%q means %s, and is taken for %s", raw, want, have)
		}
		var second everything
		if err := web.Decode([]byte(normal(t, have)), &second); err != nil || render(t, second) != normal(t, have) {
			t.Fatalf("%s is taken for %s, %v", have, render(t, second), err)
		}
	})
}

func render(t *testing.T, v everything) string {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%+v can't be written: %v", v, err)
	}
	return string(raw)
}

// normal writes lists and maps that are not there as empty: null is none of either.
func normal(t *testing.T, text string) string {
	var v everything
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	if v.List == nil {
		v.List = []string{}
	}
	if v.Map == nil {
		v.Map = map[string]string{}
	}
	return render(t, v)
}
