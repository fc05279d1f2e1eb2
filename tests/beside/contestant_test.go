package beside

import (
	"fmt"
	"testing"

	"cloakroom.dev/tests/harness"
)

// contestant is a server under measurement. Everything it keeps is below the test's temporary folder: all on one disk.
type contestant struct {
	name    string
	base    string
	pids    map[string]int                    // of its processes, by name
	request func(size int64, who int) request // an upload of so many bytes
}

const (
	oursStack  = "cloakroom (stack)"
	oursThree  = "cloakroom (three processes)"
	oursDirect = "cloakroom (files-svc alone)"
	theirTusd  = "tusd"
	theirBase  = "PocketBase"
)

// people is how many share the uploads: one has a rate limit of their own.
const people = 16

// contestants starts all of them. Of ours there are three ways in: the embedded default, the same as three processes, and the files
// service of those without the gateway.
func contestants(b *testing.B) []*contestant {
	b.Helper()
	stack := harness.Start(b)
	inStack := tokens(b, stack.Public)
	if err := stack.Stop(); err != nil { // signing people up takes memory that is given back slowly: uploads are measured without it
		b.Fatal(err)
	}
	stack.Run()
	three := harness.StartThree(b)
	tusd := harness.StartOther(b, harness.Build(b, "./tusd"), "-dir")
	base := harness.StartOther(b, harness.Build(b, "./pocketbase"), "-dir")
	inThree := tokens(b, three.Public)
	return []*contestant{
		{name: oursStack, base: stack.Public, pids: map[string]int{"stack": stack.Pid()}, request: ours(stack.Public, inStack)},
		{
			name: oursThree, base: three.Public, request: ours(three.Public, inThree),
			pids: map[string]int{"gateway": three.Gateway.Pid(), "files-svc": three.Files.Pid()},
		},
		{name: oursDirect, base: three.Direct, request: ours(three.Direct, inThree), pids: map[string]int{"files-svc": three.Files.Pid()}},
		{name: theirTusd, base: tusd.Base, request: theirs(tusd.Base), pids: map[string]int{"tusd": tusd.Pid()}},
		{name: theirBase, base: base.Base, request: form(base.Base), pids: map[string]int{"pocketbase": base.Pid()}},
	}
}

// tokens are access tokens of some people.
func tokens(b *testing.B, public string) []string {
	c := harness.NewClient(b, public)
	got := make([]string, people)
	for i := range got {
		got[i] = c.SignUp().Session.AccessToken
	}
	return got
}

// ours is a raw body: hashed, synced and in the catalogue before it is answered.
func ours(base string, tokens []string) func(int64, int) request {
	return func(size int64, who int) request {
		return newRequest(base, "/v1/files", size, "", "", 201, "Authorization: Bearer "+tokens[who%len(tokens)],
			"Content-Type: application/octet-stream", `Content-Disposition: attachment; filename="a.bin"`)
	}
}

// theirs is tus's creation with upload: one request, neither hashed nor synced.
func theirs(base string) func(int64, int) request {
	return func(size int64, _ int) request {
		return newRequest(base, "/files/", size, "", "", 201, "Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream",
			fmt.Sprintf("Upload-Length: %d", size))
	}
}

// form is the one way into PocketBase.
func form(base string) func(int64, int) request {
	const before = "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
	return func(size int64, _ int) request {
		return newRequest(base, "/api/collections/files/records", size, before, "\r\n--cut--\r\n", 200,
			"Content-Type: multipart/form-data; boundary=cut")
	}
}
