package httpapi

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/web"
)

// TestFileText_IsWhatJSONMakesOfIt holds the text of a file to encoding/json, whatever its names hold.
func TestFileText_IsWhatJSONMakesOfIt(t *testing.T) {
	texts := rapid.OneOf(rapid.StringMatching(`[a-z."\\<>&/ ]{0,12}`), rapid.String())
	times := rapid.Custom(func(rt *rapid.T) web.Time {
		zone := time.FixedZone("", rapid.IntRange(-14, 14).Draw(rt, "zone")*3600)
		return web.Time(time.Unix(rapid.Int64Range(0, 1<<37).Draw(rt, "second"), rapid.Int64Range(0, 999_999_999).Draw(rt, "nanosecond")).In(zone))
	})
	rapid.Check(t, func(rt *rapid.T) {
		text := func(name string) string { return texts.Draw(rt, name) }
		b := fileBody{
			ID: files.FileID(text("id")), Name: text("name"), Extension: text("extension"), ContentType: text("type"),
			Size: rapid.Int64().Draw(rt, "size"), SHA256: text("digest"), Version: rapid.Int64().Draw(rt, "version"), ETag: text("etag"),
			Metadata:  rapid.MapOfN(texts, texts, 0, 4).Draw(rt, "metadata"),
			CreatedAt: times.Draw(rt, "created"), UpdatedAt: times.Draw(rt, "updated"),
		}
		if rapid.Bool().Draw(rt, "expires") {
			at := times.Draw(rt, "at")
			b.ExpiresAt = &at
		}
		if rapid.Bool().Draw(rt, "flawed") {
			flaw := files.Flaw(text("flaw"))
			b.Flaw = &flaw
		}
		got, err := b.text()
		want, wrong := json.Marshal(b)
		if err != nil || wrong != nil || string(got) != string(want) {
			rt.Fatalf("\n%s, %v\n%s, %v", got, err, want, wrong)
		}
	})
}
