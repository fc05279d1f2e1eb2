package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cloakroom.dev/tests/harness"
)

// load starts so many people, each over connections of their own. They speak HTTP/1.1, for a proxy may refuse a stream of HTTP/2 whose
// connection to a pod broke, and clients send those again by themselves. A log-in is a tenth of what they do: it costs what ten of the
// others do. With their pauses they keep a small machine below what it can do, so that what fails fails for another reason.
func (s *site) load(n int) *harness.Crowd {
	s.t.Helper()
	people := make([]*harness.Client, n)
	for i := range people {
		client := s.anyone()
		client.HTTP().Transport.(*http.Transport).Protocols = onlyHTTP1()
		people[i] = client.SignUp()
	}
	return harness.NewCrowd(s.t, harness.Work{
		Turns: strings.Fields("login session upload download refresh session upload download refresh list"),
		Pause: 300 * time.Millisecond, Largest: 64 << 10, Kind: kindOf,
	}, people...)
}

func onlyHTTP1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

const ok = harness.OK

// kindOf is an answer in a word: ok, a status with its code, or that there was none. What stands in front answers by itself, without a
// problem document.
func kindOf(a *harness.Answer) string {
	switch {
	case a.Err != nil:
		return "no answer"
	case a.Status < 300:
		return ok
	}
	var p harness.Problem
	if json.Unmarshal(a.Body, &p) != nil || p.Code == "" {
		return fmt.Sprintf("%d without a problem", a.Status)
	}
	return fmt.Sprintf("%d %s", a.Status, p.Code)
}
