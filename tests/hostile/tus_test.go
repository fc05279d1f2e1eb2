package hostile

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

func TestUploads_TusOffsets(t *testing.T) {
	ada := gateway(t).SignUp()
	t.Run("a chunk behind or ahead of the offset", func(t *testing.T) {
		at := begin(ada, 10)
		patch(ada, at, "hello", 0).Is(204)
		for _, offset := range []int{0, 4, 6, 10, 1 << 40} {
			a := patch(ada, at, "x", offset)
			a.Is(409)
			if a.Header.Get("Upload-Offset") != "5" {
				t.Errorf("at %d: told to go on at %q", offset, a.Header.Get("Upload-Offset"))
			}
		}
		stands(t, ada, at, 5)
	})
	t.Run("a chunk past the end", func(t *testing.T) {
		at := begin(ada, 4)
		patch(ada, at, "hello", 0).Refused(413, "PAYLOAD_TOO_LARGE")
		ada.Do("PATCH", at, io.MultiReader(strings.NewReader("hello")), tus("Upload-Offset", "0")).Refused(413, "PAYLOAD_TOO_LARGE")
		stands(t, ada, at, 0)
	})
	t.Run("a length that shrinks or changes", func(t *testing.T) {
		at := ada.Do("POST", "/v1/uploads", nil, tus("Upload-Defer-Length", "1")).Is(201).Header.Get("Location")
		patch(ada, at, "hello", 0).Is(204)
		patch(ada, at, "", 5, "Upload-Length", "4").Is(400)
		patch(ada, at, "", 5, "Upload-Length", "-1").Is(400)
		patch(ada, at, "", 5, "Upload-Length", "99999999999999999999").Is(400)
		patch(ada, at, "", 5, "Upload-Length", strconv.Itoa(6<<30)).Refused(413, "PAYLOAD_TOO_LARGE")
		patch(ada, at, "", 5, "Upload-Length", "8").Is(204)
		patch(ada, at, "", 5, "Upload-Length", "9").Is(400)
		stands(t, ada, at, 5)
	})
	t.Run("doubled and odd numbers", func(t *testing.T) {
		at := begin(ada, 5)
		for _, offset := range []string{"", "-0", "+0", "0x0", "0.0", " 0 0", "0, 0", "１"} {
			if a := ada.Try("PATCH", at, strings.NewReader("hello"), tus("Upload-Offset", offset)); a.Err == nil && a.Status != 400 {
				t.Errorf("%q: %d", offset, a.Status)
			}
		}
		ada.Do("PATCH", at, strings.NewReader("hello"), tus("Upload-Offset", "0"), func(r *http.Request) {
			r.Header["Upload-Offset"] = []string{"0", "0"}
		}).Is(400)
		stands(t, ada, at, 0)
	})
}

func TestUploads_TusChecksums(t *testing.T) {
	ada := gateway(t).SignUp()
	t.Run("a wrong checksum", func(t *testing.T) {
		at := begin(ada, 5)
		sum := sha1.Sum([]byte("jello"))
		patch(ada, at, "hello", 0, "Upload-Checksum", "sha1 "+base64.StdEncoding.EncodeToString(sum[:])).Refused(460, "DIGEST_MISMATCH")
		stands(t, ada, at, 0)
	})
	t.Run("checksums nobody checks", func(t *testing.T) {
		at := begin(ada, 5)
		for _, sum := range []string{"md5 XUFAKrxLKna5cZ2REBfFkg==", "sha1", "sha1 !", "crc32 AAAAAA==", "SHA1 qvTGHdzF6KLavt4PO0gs2a6pQ00="} {
			patch(ada, at, "hello", 0, "Upload-Checksum", sum).Refused(400, "VALIDATION_ERROR")
		}
		stands(t, ada, at, 0)
	})
}

func TestUploads_TusAddresses(t *testing.T) {
	anyone := gateway(t)
	ada, eve := anyone.SignUp(), anyone.SignUp()
	t.Run("guessed addresses", func(t *testing.T) {
		for _, id := range []string{"AAAAAAAAAAAAAAAAAAAAAAAAAA", "0", "01a2006d-e99a-7e09-824a-47751b27b8cc", strings.Repeat("A", 4000), "a'%20OR%201=1", "%00"} {
			if a := ada.Try("HEAD", "/v1/uploads/"+id, nil, tus()); a.Err != nil || a.Status != 404 && a.Status != 400 {
				t.Errorf("%.40s: %d %v", id, a.Status, a.Err)
			}
		}
	})
	t.Run("another person's address", func(t *testing.T) {
		at := begin(ada, 5)
		eve.Do("HEAD", at, nil, tus()).Is(404)
		patch(eve, at, "hello", 0).Refused(404, "NOT_FOUND")
		eve.Do("DELETE", at, nil, tus()).Refused(404, "NOT_FOUND")
		anyone.Do("HEAD", at, nil, tus()).Is(401)
		stands(t, ada, at, 0)
	})
	t.Run("a terminated upload", func(t *testing.T) {
		at := begin(ada, 5)
		ada.Do("DELETE", at, nil, tus()).Is(204)
		patch(ada, at, "hello", 0).Refused(404, "NOT_FOUND")
		ada.Do("DELETE", at, nil, tus()).Refused(404, "NOT_FOUND")
	})
}

func TestUploads_TusParts(t *testing.T) {
	anyone := gateway(t)
	ada, eve := anyone.SignUp(), anyone.SignUp()
	t.Run("another person's parts", func(t *testing.T) {
		at := begin(ada, 5, "Upload-Concat", "partial")
		patch(ada, at, "hello", 0).Is(204)
		eve.Do("POST", "/v1/uploads", nil, tus("Upload-Concat", "final;"+at)).Refused(404, "NOT_FOUND")
		if got := files(t, eve); len(got) != 0 {
			t.Errorf("she has %+v", got)
		}
	})
	t.Run("parts that are none", func(t *testing.T) {
		whole, open := begin(ada, 0), begin(ada, 5, "Upload-Concat", "partial")
		for _, list := range []string{whole, open, "", "x", "/v1/files/1", "https://evil.example/v1/uploads/", open + " " + open,
			strings.Repeat(open+" ", 300)} {
			if a := ada.Try("POST", "/v1/uploads", nil, tus("Upload-Concat", "final;"+list)); a.Status != 400 {
				t.Errorf("%.60q: %d %s", list, a.Status, a.Body)
			}
		}
		ada.Do("POST", "/v1/uploads", nil, tus("Upload-Concat", "final;"+open, "Upload-Length", "5")).Is(400)
		ada.Do("POST", "/v1/uploads", nil, tus("Upload-Concat", "part", "Upload-Length", "5")).Is(400)
	})
}

func TestUploads_TusNames(t *testing.T) {
	ada := gateway(t).SignUp()
	t.Run("metadata", func(t *testing.T) {
		before := len(files(t, ada))
		for says, text := range map[string]string{
			"8 KiB and more":  "a " + coded(strings.Repeat("x", 7000)),
			"a long value":    "a " + coded(strings.Repeat("x", 2000)),
			"many keys":       "k eA==" + manyKeys(100),
			"no base64":       "filename ?",
			"one key twice":   "a YQ==,a Yg==",
			"a NUL in a name": "filename " + coded("a\x00b"),
			"a line in a name": "filename " +
				coded("a\r\nSet-Cookie: x=y"),
			"bytes that are no text": "filename " + coded("\xff\xfe"),
			"a name of dots":         "filename " + coded(".."),
			"a long name":            "filename " + coded(strings.Repeat("n", 256)),
			"a type that is none":    "filetype " + coded("text/html\r\nX: y"),
			"an empty key":           "a YQ==,, b YQ==",
		} {
			if a := ada.Try("POST", "/v1/uploads", nil, tus("Upload-Length", "0", "Upload-Metadata", text)); a.Status != 400 {
				t.Errorf("%s: %d %s", says, a.Status, a.Body)
			}
		}
		if after := len(files(t, ada)); after != before {
			t.Errorf("%d files more", after-before)
		}
	})
	t.Run("a name that is a path", func(t *testing.T) {
		at := begin(ada, 0, "Upload-Metadata", "filename "+coded("../../etc/passwd"))
		where := ada.Do("HEAD", at, nil, tus()).Is(200).Header.Get("Location")
		if f := ada.Do("GET", where, nil).Is(200).File(); f.Name != "../../etc/passwd" {
			t.Errorf("became %+v", f)
		}
	})
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",k%d eA==", i)
	}
	return b.String()
}

func TestUploads_TusHeaders(t *testing.T) {
	ada := gateway(t).SignUp()
	t.Run("other versions of tus", func(t *testing.T) {
		for _, version := range []string{"0.2.2", "1.0.1", "2.0.0", "1.0.0, 2.0.0", "١.٠.٠"} {
			a := ada.Do("POST", "/v1/uploads", nil, harness.Header("Tus-Resumable", version), harness.Header("Upload-Length", "1"))
			a.Refused(412, "PRECONDITION_FAILED")
			if a.Header.Get("Tus-Version") != "1.0.0" {
				t.Errorf("%s: told of %q", version, a.Header.Get("Tus-Version"))
			}
		}
		ada.Do("POST", "/v1/uploads", nil, harness.Header("Upload-Length", "1")).Refused(412, "PRECONDITION_FAILED")
	})
	t.Run("a method in a header", func(t *testing.T) {
		at := begin(ada, 5)
		a := ada.Do("POST", at, strings.NewReader("hello"), tus("X-HTTP-Method-Override", "DELETE"))
		a.Refused(405, "METHOD_NOT_ALLOWED")
		stands(t, ada, at, 0)
	})
	t.Run("a poisoned Location", func(t *testing.T) {
		at := begin(ada, 1, "X-Forwarded-Host", "evil.example", "X-Forwarded-Prefix", "/evil", "X-Forwarded-Proto", "javascript")
		if !strings.HasPrefix(at, "/v1/uploads/") {
			t.Errorf("Location is %s", at)
		}
	})
	t.Run("a type that is not the protocol's", func(t *testing.T) {
		at := begin(ada, 5)
		ada.Do("PATCH", at, strings.NewReader("hello"), tus("Upload-Offset", "0", "Content-Type", "multipart/form-data; boundary=x")).Refused(415, "UNSUPPORTED_MEDIA_TYPE")
		ada.Do("POST", "/v1/uploads", strings.NewReader("hello"), tus("Upload-Length", "5", "Content-Type", "text/html")).Refused(415, "UNSUPPORTED_MEDIA_TYPE")
		stands(t, ada, at, 0)
	})
}
