package hostile

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// What two requests can do to one thing at once, and what must hold whoever was first.

type usage struct{ Bytes, Files int64 }

func usageOf(c *harness.Client) (u usage) {
	c.Do("GET", "/v1/files/usage", nil).Is(200).JSON(&u)
	return u
}

type versions struct {
	Items []struct {
		Version int
		Size    int64
		SHA256  string `json:"sha256"`
	}
}

// sumOf is what a person's files take, added up from the outside: versions that share their bytes count once.
func sumOf(t *testing.T, ada *harness.Client) (sum usage) {
	t.Helper()
	for _, f := range files(t, ada) {
		var all versions
		ada.Do("GET", "/v1/files/"+f.ID+"/versions?limit=100", nil).Is(200).JSON(&all)
		seen := map[string]bool{}
		for _, v := range all.Items {
			if !seen[v.SHA256] {
				sum.Bytes += v.Size
			}
			seen[v.SHA256] = true
		}
		sum.Files++
	}
	return sum
}

// Whatever races, the quota is the sum of what exists: uploads, replaces, restores of versions, the trash, and uploads in pieces.
func TestQuota_IsTheSumWhateverRaces(t *testing.T) {
	ada := gateway(t).SignUp()
	var ids []string
	for range 4 {
		ids = append(ids, ada.Upload("shared", rand64(1000)).Is(201).File().ID)
	}
	got := parallel(160, func(i int) int {
		f := "/v1/files/" + ids[rand.N(len(ids))]
		switch i % 8 {
		case 0:
			return ada.Try("POST", "/v1/files", bytes.NewReader(rand64(rand.N(5000))), harness.Raw("new")).Status
		case 1, 2:
			return ada.Try("PUT", f+"/content", bytes.NewReader(rand64(rand.N(5000)))).Status
		case 3:
			return ada.Try("POST", fmt.Sprintf("%s/versions/%d/restore", f, 1+rand.N(4)), nil).Status
		case 4:
			return ada.Try("DELETE", f, nil).Status
		case 5:
			return ada.Try("POST", strings.Replace(f, "/files/", "/trash/", 1)+"/restore", nil).Status
		case 6:
			return ada.Try("DELETE", ada.Try("POST", "/v1/uploads", nil, tus("Upload-Length", "5000")).Header.Get("Location"), nil, tus()).Status
		default:
			return patch(ada, ada.Try("POST", "/v1/uploads", nil, tus("Upload-Length", "700")).Header.Get("Location"), string(rand64(700)), 0).Status
		}
	})
	t.Logf("answers: %v", got)
	if got[500] > 0 || got[0] > 0 {
		t.Errorf("answers: %v", got)
	}
	for _, id := range ids {
		ada.Try("POST", "/v1/trash/"+id+"/restore", nil)
	}
	if told, sum := usageOf(ada), sumOf(t, ada); told != sum {
		t.Errorf("usage says %+v, there are %+v", told, sum)
	}
}

func rand64(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// An archive whose files vanish while it is packed is whole and right, or breaks off: never whole and wrong.
func TestArchive_OfFilesThatVanishMeanwhile(t *testing.T) {
	ada := gateway(t).SignUp()
	content := map[string][]byte{}
	var ids []string
	for i := range 60 {
		name := fmt.Sprintf("%03d", i)
		content[name] = bytes.Repeat([]byte(name), 100_000)
		ids = append(ids, ada.Upload(name, content[name], harness.Header("Content-Type", "image/png")).Is(201).File().ID)
	}
	req, err := ada.Request("GET", "/v1/files/archive?ids="+strings.Join(ids, ","), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := ada.HTTP().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got bytes.Buffer
	_, _ = io.CopyN(&got, res.Body, 10_000)
	for i, id := range ids[20:] {
		if i%2 == 0 {
			ada.Do("DELETE", "/v1/files/"+id+"?permanent=1", nil).Is(204)
			continue
		}
		ada.Do("PUT", "/v1/files/"+id+"/content", strings.NewReader("new")).Is(200)
	}
	_, err = io.Copy(&got, res.Body)
	z, zipErr := zip.NewReader(bytes.NewReader(got.Bytes()), int64(got.Len()))
	if err != nil {
		if zipErr == nil {
			t.Error("it broke off, and passes for whole")
		}
		return
	}
	if zipErr != nil || len(z.File) != len(ids) {
		t.Fatalf("whole, with %v", zipErr)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(raw, content[f.Name]) && string(raw) != "new" {
			t.Errorf("%s has %d bytes, %v", f.Name, len(raw), err)
		}
	}
}

// A PATCH and the end of its upload at once: a file, or nothing, and nothing reserved for ever.
func TestUploads_PatchRacesDelete(t *testing.T) {
	ada := gateway(t).SignUp()
	content := string(rand64(200_000))
	for range 12 {
		at := begin(ada, len(content))
		var group sync.WaitGroup
		var patched, ended *harness.Answer
		group.Go(func() { patched = patch(ada, at, content, 0) })
		group.Go(func() {
			time.Sleep(time.Duration(rand.N(8000)) * time.Microsecond)
			ended = ada.Try("DELETE", at, nil, tus())
		})
		group.Wait()
		if ended.Err != nil || ended.Status != 204 {
			t.Errorf("the end got %d %s, %v", ended.Status, ended.Body, ended.Err)
		}
		ada.Do("HEAD", at, nil, tus()).Is(404)
		if patched.Err == nil && patched.Status == 204 {
			f := patched.Header.Get("Content-Location")
			if f == "" {
				f = patched.Header.Get("Location")
			}
			if a := ada.Do("GET", f+"/content", nil).Is(200); string(a.Body) != content {
				t.Errorf("an acknowledged file has %d bytes", len(a.Body))
			}
		}
	}
	if told, sum := usageOf(ada), sumOf(t, ada); told != sum {
		t.Errorf("usage says %+v, there are %+v", told, sum)
	}
	begin(ada, 5<<30) // of a quota of 10 GiB, together with the next: nothing is reserved for what is gone
	begin(ada, 5<<30-int(usageOf(ada).Bytes))
}

// What was counted is exact when a person is erased while they upload by every way: nothing is acknowledged after, nothing stays.
func TestErase_WhileUploading(t *testing.T) {
	stack := harness.Start(t)
	anyone := harness.NewClient(t, stack.Public)
	admin := stack.Bootstrap().Admin
	root := anyone.LogIn(admin.Username, admin.Password)
	ada := anyone.SignUp()
	ada.Upload("before", []byte("erase me whole")).Is(201)
	at := begin(ada, 1<<20)
	answers := make(chan *harness.Answer, 2)
	stop := make(chan struct{})
	defer close(stop)
	for _, send := range []func(io.Reader) *harness.Answer{
		func(r io.Reader) *harness.Answer { return ada.Try("POST", "/v1/files", r, harness.Raw("during")) },
		func(r io.Reader) *harness.Answer { return ada.Try("PATCH", at, r, tus("Upload-Offset", "0")) },
	} {
		go func() { answers <- send(&endless{stop: stop}) }()
	}
	time.Sleep(200 * time.Millisecond)
	root.Do("DELETE", "/v1/users/"+ada.User.ID, nil).Is(204)
	for range 2 {
		select {
		case a := <-answers:
			if a.Err == nil && a.Status < 400 {
				t.Errorf("answered %d after the erasure", a.Status)
			}
		case <-time.After(patience):
			t.Fatal("an upload of an erased person goes on")
		}
	}
	ada.Do("GET", "/v1/files", nil).Is(401)
}

// endless is a body that never ends by itself, a kilobyte at a time.
type endless struct{ stop chan struct{} }

func (e *endless) Read(p []byte) (int, error) {
	select {
	case <-e.stop:
		return 0, io.EOF
	case <-time.After(5 * time.Millisecond):
		return min(len(p), 1000), nil
	}
}

// The feed has each change once and in order, though many write at once and the process is killed and started again.
func TestChanges_InOrderThroughAKill(t *testing.T) {
	stack := harness.Start(t)
	ada := harness.NewClient(t, stack.Public).SignUp()
	var page changes
	ada.Do("GET", "/v1/files/changes", nil).Is(200).JSON(&page)
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	work := func() {
		parallel(60, func(i int) int {
			a := ada.Try("POST", "/v1/files", strings.NewReader(strconv.Itoa(i)), harness.Raw("a"))
			if a.Err != nil || a.Status != http.StatusCreated {
				return 0
			}
			id := a.File().ID
			mu.Lock()
			acknowledged[id] = true
			mu.Unlock()
			ada.Try("PUT", "/v1/files/"+id+"/content", strings.NewReader("b"))
			return ada.Try("DELETE", "/v1/files/"+id, nil).Status
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); work() }()
	time.Sleep(150 * time.Millisecond)
	stack.Kill()
	<-done
	stack.Run()
	ada.Base = stack.Public
	work()
	step := map[string]int{"file.created": 1, "file.replaced": 2, "file.trashed": 3}
	at := map[string]int{}
	for {
		next := page.NextCursor
		page = changes{}
		ada.Do("GET", "/v1/files/changes?limit=7&cursor="+next, nil).Is(200).JSON(&page)
		for _, item := range page.Items {
			if n := step[item.Kind]; n == 0 || at[item.FileID] != n-1 {
				t.Errorf("%s of %s comes after step %d", item.Kind, item.FileID, at[item.FileID])
			}
			at[item.FileID]++
		}
		if !page.More {
			break
		}
	}
	for id := range acknowledged {
		if at[id] == 0 {
			t.Errorf("%s was acknowledged, and nobody hears of it", id)
		}
	}
	t.Logf("%d files were acknowledged, the feed has %d", len(acknowledged), len(at))
}

// A file whose time ends while it is read is read to its end, and then it is gone.
func TestFile_ExpiresWhileItIsRead(t *testing.T) {
	ada := gateway(t).SignUp()
	const size = 48 << 20
	f := ada.Do("POST", "/v1/files", io.LimitReader(zeros{}, size), harness.Raw("short-lived")).Is(201).File()
	end := time.Now().Add(4 * time.Second)
	ada.Do("PATCH", "/v1/files/"+f.ID, map[string]any{"expires_at": end.UTC().Format(time.RFC3339Nano)}).Is(200)
	res := reading(t, ada, "/v1/files/"+f.ID+"/content")
	time.Sleep(time.Until(end.Add(50 * time.Millisecond)))
	for _, path := range []string{"", "/content", "/versions"} {
		ada.Do("GET", "/v1/files/"+f.ID+path, nil).Refused(404, "NOT_FOUND")
	}
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n != size-1<<20 {
		t.Errorf("read %d more bytes, %v", n, err)
	}
}
