package differential

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// step is one line of the table: what the client does, and how the answer reads.
type step struct {
	does string
	tell func(c *conversation) string
}

// short tells a status and the values of the named headers that are there.
func (a answer) short(values ...string) string { return a.tell(values, nil) }

func (a answer) tell(values, presence []string) string {
	text := fmt.Sprint(a.status)
	for _, name := range values {
		if v := a.header.Values(name); len(v) > 0 {
			text += fmt.Sprintf(", %s %s", name, strings.Join(v, ","))
		}
	}
	for _, name := range presence {
		if a.header.Get(name) != "" {
			text += ", " + name
		}
	}
	return text
}

const offset, length = "Upload-Offset", "Upload-Length"

// script is the protocol, step by step: the core, then the extensions.
var script = slices.Concat(discovery, core, creation, checksum, ending, joining)

var discovery = []step{
	{"OPTIONS", func(c *conversation) string {
		a := c.say("OPTIONS", c.home, "", "Tus-Resumable", "")
		extensions := strings.FieldsFunc(a.header.Get("Tus-Extension"), func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(extensions)
		success := "2xx"
		if a.status/100 != 2 {
			success = fmt.Sprint(a.status)
		}
		return success + ", " + strings.Join(extensions, " ")
	}},
	{"OPTIONS: algorithms of checksums", func(c *conversation) string {
		return orNone(c.say("OPTIONS", c.home, "", "Tus-Resumable", "").header.Get("Tus-Checksum-Algorithm"))
	}},
	{"POST in version 0.2.2", func(c *conversation) string {
		return c.say("POST", c.home, "", length, "1", "Tus-Resumable", "0.2.2").short("Tus-Version")
	}},
	{"POST that names no version", func(c *conversation) string {
		return c.say("POST", c.home, "", length, "1", "Tus-Resumable", "").short()
	}},
}

var core = []step{
	{"HEAD of a new upload", func(c *conversation) string {
		return c.look(c.begin(length, "10")).short(offset, length, "Cache-Control")
	}},
	{"HEAD of what never was", func(c *conversation) string {
		return c.look(strings.TrimSuffix(c.home, "/") + "/0193a0d2-7c2e-7bbb-8f00-2f3c4d5e6f70").short()
	}},
	{"PATCH of half", func(c *conversation) string { return c.send(c.begin(length, "10"), "0", "hello").short(offset) }},
	{"PATCH of the rest", func(c *conversation) string {
		at := c.begin(length, "10")
		c.send(at, "0", "hello")
		return c.send(at, "5", "world").short(offset)
	}},
	{"HEAD of a finished upload", func(c *conversation) string { return c.look(c.finished()).short(offset, length) }},
	{"PATCH of a finished upload", func(c *conversation) string { return c.send(c.finished(), "10", "more").short() }},
	{"PATCH at the wrong offset", func(c *conversation) string {
		at := c.begin(length, "10")
		return c.send(at, "3", "lo").short() + "; then " + c.look(at).short(offset)
	}},
	{"PATCH without an offset", func(c *conversation) string { return c.say("PATCH", c.begin(length, "10"), "hello").short() }},
	{"PATCH at a negative offset", func(c *conversation) string { return c.send(c.begin(length, "10"), "-1", "hello").short() }},
	{"PATCH as another type", func(c *conversation) string {
		return c.send(c.begin(length, "10"), "0", "hello", "Content-Type", "text/plain").short()
	}},
	{"PATCH beyond the length", func(c *conversation) string {
		at := c.begin(length, "10")
		return c.send(at, "0", "hello world and more").short() + "; then " + c.look(at).short(offset)
	}},
	{"PATCH of what never was", func(c *conversation) string {
		return c.send(strings.TrimSuffix(c.home, "/")+"/0193a0d2-7c2e-7bbb-8f00-2f3c4d5e6f70", "0", "hello").short()
	}},
	{"POST that means PATCH (X-HTTP-Method-Override)", func(c *conversation) string {
		at := c.begin(length, "10")
		return c.say("POST", at, "hello", offset, "0", "X-HTTP-Method-Override", "PATCH").short(offset)
	}},
}

var creation = []step{
	{"POST", func(c *conversation) string {
		return c.say("POST", c.home, "", length, "10").tell(nil, []string{"Location", "Upload-Expires"})
	}},
	{"POST of an empty file", func(c *conversation) string {
		return c.say("POST", c.home, "", length, "0").tell(nil, []string{"Location"})
	}},
	{"POST without a length", func(c *conversation) string { return c.say("POST", c.home, "").short() }},
	{"POST of a negative length", func(c *conversation) string { return c.say("POST", c.home, "", length, "-5").short() }},
	{"POST with the first bytes", func(c *conversation) string {
		return c.say("POST", c.home, "hello", length, "10").tell([]string{offset}, []string{"Location"})
	}},
	{"POST with all bytes", func(c *conversation) string {
		return c.say("POST", c.home, "hello", length, "5").tell([]string{offset}, []string{"Location"})
	}},
	{"POST with metadata; HEAD", func(c *conversation) string {
		note := "filename " + base64.StdEncoding.EncodeToString([]byte("a.txt"))
		if c.look(c.begin(length, "10", "Upload-Metadata", note)).header.Get("Upload-Metadata") == note {
			return "as it was sent"
		}
		return "changed"
	}},
	{"POST with metadata that is no base64", func(c *conversation) string {
		return c.say("POST", c.home, "", length, "10", "Upload-Metadata", "filename !!!").short()
	}},
	{"POST with a length that comes later; HEAD", func(c *conversation) string {
		return c.look(c.begin("Upload-Defer-Length", "1")).short(offset, length, "Upload-Defer-Length")
	}},
	{"PATCH that brings the length", func(c *conversation) string {
		at := c.begin("Upload-Defer-Length", "1")
		return c.send(at, "0", "hello", length, "10").short(offset) + "; then " + c.look(at).short(length, "Upload-Defer-Length")
	}},
	{"POST with a length that comes, never", func(c *conversation) string {
		return c.say("POST", c.home, "", "Upload-Defer-Length", "2").short()
	}},
	{"HEAD and PATCH: when it expires", func(c *conversation) string {
		at := c.begin(length, "10")
		return "HEAD " + c.look(at).tell(nil, []string{"Upload-Expires"}) + "; PATCH " + c.send(at, "0", "hello").tell(nil, []string{"Upload-Expires"})
	}},
}

var checksum = []step{
	{"PATCH with its checksum", func(c *conversation) string {
		return c.send(c.begin(length, "5"), "0", "hello", "Upload-Checksum", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=").short(offset)
	}},
	{"PATCH with another's checksum", func(c *conversation) string {
		at := c.begin(length, "5")
		return c.send(at, "0", "hellO", "Upload-Checksum", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=").short() + "; then " + c.look(at).short(offset)
	}},
	{"PATCH with a checksum of an unknown kind", func(c *conversation) string {
		at := c.begin(length, "5")
		return c.send(at, "0", "hello", "Upload-Checksum", "crc7 AA==").short() + "; then " + c.look(at).short(offset)
	}},
}

var ending = []step{
	{"DELETE; HEAD", func(c *conversation) string {
		at := c.begin(length, "10")
		return c.say("DELETE", at, "").short() + "; then " + c.look(at).short()
	}},
	{"DELETE of a finished upload", func(c *conversation) string { return c.say("DELETE", c.finished(), "").short() }},
	{"DELETE of what never was", func(c *conversation) string {
		return c.say("DELETE", strings.TrimSuffix(c.home, "/")+"/0193a0d2-7c2e-7bbb-8f00-2f3c4d5e6f70", "").short()
	}},
}

var joining = []step{
	{"POST of two finished parts, joined; HEAD", func(c *conversation) string {
		if !c.joins() {
			return "not spoken"
		}
		a := c.say("POST", c.home, "", "Upload-Concat", "final;"+c.part("hello")+" "+c.part("world"))
		return a.short() + "; then " + c.look(a.header.Get("Location")).tell([]string{length}, []string{"Upload-Concat"})
	}},
	{"PATCH of what was joined", func(c *conversation) string {
		if !c.joins() {
			return "not spoken"
		}
		a := c.say("POST", c.home, "", "Upload-Concat", "final;"+c.part("hello")+" "+c.part("world"))
		return c.send(a.header.Get("Location"), "10", "more").short()
	}},
	{"POST of a part that is not finished, joined", func(c *conversation) string {
		if !c.joins() {
			return "not spoken"
		}
		part := c.begin(length, "10", "Upload-Concat", "partial")
		return c.say("POST", c.home, "", "Upload-Concat", "final;"+part).short()
	}},
}

// finished is an upload of ten bytes that has them all.
func (c *conversation) finished() string {
	at := c.begin(length, "10")
	if a := c.send(at, "0", "helloworld"); a.status != http.StatusNoContent {
		c.t.Fatalf("%s: the upload was answered %d", c.name, a.status)
	}
	return at
}

func (c *conversation) joins() bool {
	return strings.Contains(c.say("OPTIONS", c.home, "", "Tus-Resumable", "").header.Get("Tus-Extension"), "concatenation")
}

// part is a finished part of a joined upload.
func (c *conversation) part(content string) string {
	at := c.begin(length, fmt.Sprint(len(content)), "Upload-Concat", "partial")
	c.send(at, "0", content)
	return at
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
