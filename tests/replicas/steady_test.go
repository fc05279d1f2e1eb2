package replicas

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// TestRestart_OfEachFailsNoRequest stops every service in order, one after the other, and starts it again, under load.
func TestRestart_OfEachFailsNoRequest(t *testing.T) {
	c := up(t)
	l := c.load(t, 6)
	for _, name := range services() {
		if code := c.restart(t, name); code != 0 {
			t.Errorf("%s ended with %d:\n%s", name, code, c.logs(name, 20))
		}
		c.believedIn(t)
	}
	t.Logf("%d services restarted: %v", len(services()), nothingFailed(t, l))
}

// TestUpload_GoesOnAtAnotherReplica begins an upload at the first files service and goes on with it at the second, each step
// through another gateway.
func TestUpload_GoesOnAtAnotherReplica(t *testing.T) {
	c := up(t)
	ada := c.front.anyone(t).SignUp()
	content := make([]byte, 9<<20)
	_, _ = rand.Read(content)
	door := func(i int) *harness.Client { return at(ada, c.front.doors[i%len(c.front.doors)].base) }
	made := door(0).Do("POST", "/v1/uploads", nil, tus("Upload-Length", strconv.Itoa(len(content)))).Is(201)
	path := made.Header.Get("Location")
	path = path[strings.Index(path, "/v1/"):]
	requests, offset := 1, 0
	for i, end := range []int{2 << 20, 7<<20 + 13, len(content)} {
		c.believedIn(t) // or nobody would be left once one of them is cut off
		mend := cut(t, c.lines.of("", filesSvc[(i+1)%2]))
		if got := door(i).Do("HEAD", path, nil, tus()).Is(200).Header.Get("Upload-Offset"); got != strconv.Itoa(offset) {
			t.Errorf("at %s the upload has %s bytes, want %d", filesSvc[i%2], got, offset)
		}
		a := door(i+1).Do("PATCH", path, bytes.NewReader(content[offset:end]), tus("Upload-Offset", strconv.Itoa(offset), "Content-Type", "application/offset+octet-stream"))
		if a.Is(204); a.Header.Get("Upload-Offset") != strconv.Itoa(end) {
			t.Errorf("after a part the offset is %s, want %d", a.Header.Get("Upload-Offset"), end)
		}
		mend()
		requests, offset = requests+2, end
	}
	var list struct{ Items []harness.File }
	door(0).Do("GET", "/v1/files", nil).Is(200).JSON(&list)
	if len(list.Items) != 1 {
		t.Fatalf("files are %+v, want the one", list.Items)
	}
	for i := range c.front.doors {
		if got := door(i).Do("GET", fmt.Sprintf("/v1/files/%s/content", list.Items[0].ID), nil).Is(200); !bytes.Equal(got.Body, content) {
			t.Errorf("%s reads back otherwise", c.front.doors[i].name)
		}
	}
	t.Logf("%d requests over two files services and three gateways, none failed", requests+1+len(c.front.doors))
}

func tus(headers ...string) harness.Option {
	return func(r *http.Request) {
		r.Header.Set("Tus-Resumable", "1.0.0")
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
}
