package edge

import (
	"net/http"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/fault"
)

func TestBuffers_OnlySoManyLargeOnesAreOut(t *testing.T) {
	p := newBufferPool()
	var out [][]byte
	large := 0
	for range largeBuffers + 10 {
		b := p.Get()
		out = append(out, b)
		if len(b) == largeBuffer {
			large++
		}
	}
	if large != largeBuffers {
		t.Errorf("%d large buffers are out", large)
	}
	if n := p.largeOut(); n != largeBuffers {
		t.Errorf("%d large buffers are said to be out", n)
	}
	for _, b := range out {
		p.Put(b)
	}
	if n := p.largeOut(); n != 0 {
		t.Errorf("%d large buffers are said to be out when all are back", n)
	}
	if b := p.Get(); len(b) != largeBuffer {
		t.Error("large buffers did not come back")
	}
}

func TestPolicy_FindsOneCredentialOrRefuses(t *testing.T) {
	p := newPolicy(&v1alpha1.TokenPolicySpec{ExtractFrom: v1alpha1.ExtractFrom{
		Header: &v1alpha1.TokenHeader{Name: "authorization", Scheme: "Bearer"}, Cookie: &v1alpha1.TokenCookie{Name: "at"}, APIKeyHeader: "x-api-key",
	}}, nil)
	const missing, ambiguous = fault.Unauthenticated, fault.Invalid
	for _, c := range []struct {
		name   string
		header http.Header
		want   credential
		kind   fault.Kind // Internal: none
	}{
		{"nothing", http.Header{}, credential{}, missing},
		{"a bearer", http.Header{"Authorization": {"bEARER a.b.c"}}, credential{value: "a.b.c"}, fault.Internal},
		{"an API key as bearer", http.Header{"Authorization": {"Bearer crk_1"}}, credential{value: "crk_1", apiKey: true}, fault.Internal},
		{"an API key in its header", http.Header{"X-Api-Key": {"crk_1"}}, credential{value: "crk_1", apiKey: true}, fault.Internal},
		{"a token in the API key's header", http.Header{"X-Api-Key": {"a.b.c"}}, credential{value: "a.b.c", apiKey: true}, fault.Internal},
		{"a cookie", http.Header{"Cookie": {"x=y; at=a.b.c"}}, credential{value: "a.b.c", cookie: true}, fault.Internal},
		{"another scheme", http.Header{"Authorization": {"Basic dTpw"}}, credential{}, missing},
		{"a scheme alone", http.Header{"Authorization": {"Bearer"}}, credential{}, missing},
		{"an empty bearer", http.Header{"Authorization": {"Bearer "}}, credential{}, missing},
		{"an empty cookie", http.Header{"Cookie": {"at="}}, credential{}, missing},
		{"two headers", http.Header{"Authorization": {"Bearer a", "Bearer b"}}, credential{}, ambiguous},
		{"two API keys", http.Header{"X-Api-Key": {"crk_1", "crk_2"}}, credential{}, ambiguous},
		{"bearer and cookie", http.Header{"Authorization": {"Bearer a"}, "Cookie": {"at=b"}}, credential{}, ambiguous},
		{"two cookies", http.Header{"Cookie": {"at=a", "at=b"}}, credential{}, ambiguous},
	} {
		got, err := p.find(&http.Request{Header: c.header})
		if got != c.want || (err == nil) != (c.kind == fault.Internal) || (err != nil && fault.KindOf(err) != c.kind) {
			t.Errorf("%s: %+v %v", c.name, got, err)
		}
	}
}

func TestQuery_CredentialsAreFoundHoweverTheyAreWritten(t *testing.T) {
	for query, want := range map[string]bool{
		"access_token=x": true, "a=b&access_token": true, "ACCESS_token=x": true, "a;access_token=x": true, "%61ccess%5ftoken=x": true,
		"": false, "a=access_token": false, "my_access_token=x": false, "accessToken=x": false, "&&;;": false, "%zz=1": false,
	} {
		if got := namesToken(query); got != want {
			t.Errorf("%q: %v", query, got)
		}
	}
	for query, want := range map[string]bool{
		"k=crk_abc": true, "k=%63rk_abc": true, "r=crr_abc": true, "t=eyJhbGciOi.eyJzdWIi.sig": true, "a=1;t=eyJ.b.c": true,
		"k=acrk_": false, "t=eyJ": false, "q=eyJust.words": false,
	} {
		if got := showsToken(query); got != want {
			t.Errorf("%q: %v", query, got)
		}
	}
}

func TestAliases_AreKnownInEverySpelling(t *testing.T) {
	for name, want := range map[string]bool{
		"X_Api_Key": true, "X.Request.Id": true, "content_length": true, "Transfer_Encoding": true, "If_Match": true, "Author_ization": false,
		"X-Api-Key": false, "Authorization": false, "My_Header": false, "X-Request-Id": false,
	} {
		if got := aliasesOwn(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"access_token=x", "a&b;c=%41", strings.Repeat("&", 100), "%", "k=crk_x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		namesToken(query)
		if showsToken(query) && !strings.ContainsAny(query, "%ce") {
			t.Errorf("found a credential in %q", query)
		}
	})
}

func TestBuffers_AShortAnswerTakesNoLargeOne(t *testing.T) {
	before := buffers.out.Load()
	l := lender{short: true}
	b := l.Get()
	if len(b) != smallBuffer || buffers.out.Load() != before {
		t.Errorf("a buffer of %d bytes", len(b))
	}
	l.Put(b)
	l.short = false
	if b = l.Get(); len(b) != largeBuffer {
		t.Errorf("a long answer gets a buffer of %d bytes", len(b))
	}
	l.Put(b)
	if now := buffers.out.Load(); now != before {
		t.Errorf("%d large buffers are out, there were %d", now, before)
	}
}
