package hostile

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"cloakroom.dev/tests/harness"
)

func key(k string) harness.Option { return harness.Header("Idempotency-Key", k) }

func TestIdempotencyKey_Twice_OneFile(t *testing.T) {
	ada := gateway(t).SignUp()
	first := ada.Upload("a", []byte("x"), key(`"twice-1"`)).Is(201)
	ada.Do("PATCH", "/v1/files/"+first.File().ID, map[string]string{"name": "b"}).Is(200)
	second := ada.Upload("a", []byte("x"), key("twice-1")).Is(201)
	for _, name := range []string{"Location", "ETag", "Content-Type"} {
		if first.Header.Get(name) != second.Header.Get(name) {
			t.Errorf("%s: %q, then %q", name, first.Header.Get(name), second.Header.Get(name))
		}
	}
	if !bytes.Equal(first.Body, second.Body) {
		t.Errorf("answered %s, then %s", first.Body, second.Body)
	}
	if all := files(t, ada); len(all) != 1 || all[0].Name != "b" {
		t.Errorf("there are %+v", all)
	}
}

func TestIdempotencyKey_AForm_OneFile(t *testing.T) {
	ada := gateway(t).SignUp()
	const boundary = "b0undary"
	form := func(content string) *harness.Answer {
		body := "--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n" + content + "\r\n--" + boundary + "--\r\n"
		return ada.Do("POST", "/v1/files", strings.NewReader(body), key("form"),
			harness.Header("Content-Type", "multipart/form-data; boundary="+boundary))
	}
	first := form("content").Is(201)
	if second := form("content").Is(201); !bytes.Equal(first.Body, second.Body) {
		t.Errorf("answered %s, then %s", first.Body, second.Body)
	}
	form("contenT").Refused(422, "VALIDATION_ERROR")
	if all := files(t, ada); len(all) != 1 {
		t.Errorf("there are %+v", all)
	}
}

func TestIdempotencyKey_ForAnotherRequest_Refused(t *testing.T) {
	c := gateway(t)
	ada, eve := c.SignUp(), c.Fresh().SignUp()
	f := ada.Upload("a", []byte("secret"), key("k")).Is(201).File()
	ada.Upload("b", []byte("secret"), key("k")).Refused(422, "VALIDATION_ERROR")
	ada.Upload("a", []byte("Secret"), key("k")).Refused(422, "VALIDATION_ERROR")
	ada.Upload("a", []byte("longer secret"), key("k")).Refused(422, "VALIDATION_ERROR")
	ada.Upload("a", []byte("secret"), key("k"), harness.Header("If-None-Match", "*")).Refused(422, "VALIDATION_ERROR")
	if other := eve.Upload("a", []byte("secret"), key("k")).Is(201).File(); other.ID == f.ID {
		t.Error("eve was answered with ada's file")
	}
	var usage struct{ Bytes, Files int64 }
	ada.Do("GET", "/v1/files/usage", nil).Is(200).JSON(&usage)
	if usage.Bytes != 6 || usage.Files != 1 {
		t.Errorf("usage is %+v", usage)
	}
}

func TestIdempotencyKey_Malformed_Refused(t *testing.T) {
	ada := gateway(t).SignUp()
	for _, k := range []string{`""`, `"open`, "a b", "a,b", "ключ", strings.Repeat("k", 256), `"a";x=1`, `a"b`, `"`} {
		ada.Upload("a", []byte("x"), key(k)).Refused(400, "VALIDATION_ERROR")
	}
	twice := func(r *harness.Client) *harness.Answer {
		req, err := r.Request("POST", "/v1/files", bytes.NewReader([]byte("x")), harness.Raw("a"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Idempotency-Key"] = []string{"a", "b"}
		res, err := r.HTTP().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return &harness.Answer{Status: res.StatusCode}
	}
	if a := twice(ada); a.Status != 400 {
		t.Errorf("two keys: %d", a.Status)
	}
	if all := files(t, ada); len(all) != 0 {
		t.Errorf("there are %+v", all)
	}
}

func TestIdempotencyKey_AThousandAtOnce_OneFile(t *testing.T) {
	// The thousand come from one address, which by default may have no connection more; one left from the start would be.
	stack := harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t,
		harness.Replace(t, "    maxConnections: 20000\n", "    maxConnections: 20000\n    maxConnectionsPerAddress: 2000\n")))
	ada := harness.NewClient(t, stack.Public).SignUp()
	var mu sync.Mutex
	ids := map[string]int{}
	got := parallel(1000, func(int) int {
		a := ada.Try("POST", "/v1/files", bytes.NewReader([]byte("the same")), harness.Raw("a"), key("thousand"))
		switch {
		case a.Err != nil:
			t.Error(a.Err)
		case a.Status == 201:
			mu.Lock()
			ids[a.File().ID]++
			mu.Unlock()
		case a.Status == 409 && a.Header.Get("Retry-After") != "1":
			t.Errorf("409 with Retry-After %q", a.Header.Get("Retry-After"))
		}
		return a.Status
	})
	if len(ids) != 1 || got[201]+got[409] != 1000 {
		t.Errorf("answered %v with files %v", got, ids)
	}
	if all := files(t, ada); len(all) != 1 {
		t.Errorf("there are %d files", len(all))
	}
}
