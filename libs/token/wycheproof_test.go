package token

import (
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/google/go-cmp/cmp"
)

type wycheproofFile struct {
	NumberOfTests int               `json:"numberOfTests"`
	TestGroups    []wycheproofGroup `json:"testGroups"`
}

type wycheproofGroup struct {
	Private json.RawMessage `json:"private"`
	Public  json.RawMessage `json:"public"`
	Tests   []struct {
		ID      int    `json:"tcId"`
		Comment string `json:"comment"`
		JWS     string `json:"jws"`
		Result  string `json:"result"`
	} `json:"tests"`
}

func readWycheproof(t *testing.T, name string) wycheproofFile {
	t.Helper()
	data, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var f wycheproofFile
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// accepts judges one JWS as Verify would, up to the claims, which the vectors don't have.
func accepts(keys map[string]Key, raw string) bool {
	j, err := parseJWS(raw)
	if err != nil {
		return false
	}
	if _, err := decodeSegment(j.payload); err != nil {
		return false
	}
	k, known := keys[j.keyID]
	return known && k.verify(&j) == nil
}

// outsideProfile says why vectors that are valid in general are refused by design: they count as judged right when
// they are refused. Each is a whole group of keys that can't get into a key set of ours.
func outsideProfile(key json.RawMessage) string {
	var k struct {
		Type      string `json:"kty"`
		Algorithm string `json:"alg"`
	}
	_ = json.Unmarshal(key, &k) // the vectors are well formed
	switch {
	case k.Type == "oct":
		return "symmetric key"
	case k.Algorithm == "ES521":
		return "algorithm ES521, which does not exist"
	case k.Algorithm == "PS256", k.Algorithm == "PS384", k.Algorithm == "PS512", k.Algorithm == "RS384":
		return "algorithm " + k.Algorithm
	default:
		return ""
	}
}

// TestWycheproof_Signatures judges every JWS vector. None is skipped: the valid ones of keys and algorithms that we
// don't take must be refused, and are counted by reason.
func TestWycheproof_Signatures(t *testing.T) {
	f := readWycheproof(t, "json_web_signature_test.json")
	accepted, refused, outside := 0, 0, map[string]int{}
	for _, g := range f.TestGroups {
		material := g.Public
		if material == nil {
			material = g.Private // a symmetric key has nothing else; ours must refuse it
		}
		keys, _, err := decodeKeySet([]byte(`{"keys":[` + string(material) + `]}`))
		why := outsideProfile(material)
		if why != "" && err == nil {
			t.Errorf("key outside the profile was taken: %s", why)
		}
		for _, test := range g.Tests {
			want := test.Result == "valid"
			if want && why != "" {
				outside[why]++
				want = false
			}
			got := accepts(keys, test.JWS)
			if got != want {
				t.Errorf("vector %d (%s): accepted = %v, want %v", test.ID, test.Comment, got, want)
			}
			if got {
				accepted++
			} else {
				refused++
			}
		}
	}
	if accepted+refused != f.NumberOfTests {
		t.Errorf("judged %d of %d vectors", accepted+refused, f.NumberOfTests)
	}
	want := map[string]int{
		"symmetric key": 10, "algorithm PS256": 8, "algorithm PS384": 4, "algorithm PS512": 4, "algorithm RS384": 4,
		"algorithm ES521, which does not exist": 2,
	}
	if diff := cmp.Diff(want, outside); diff != "" {
		t.Errorf("valid in general, refused by design (-want +got):\n%s", diff)
	}
	t.Logf("%d accepted, %d refused, of which by design %v", accepted, refused, outside)
}

// TestWycheproof_KeySets judges the key set vectors: unusable keys must not verify anything.
func TestWycheproof_KeySets(t *testing.T) {
	f := readWycheproof(t, "json_web_key_test.json")
	judged, symmetric := 0, 0
	for _, g := range f.TestGroups {
		set := g.Public
		if set == nil {
			set = g.Private
		}
		keys, _, err := decodeKeySet(set)
		for _, test := range g.Tests {
			want := test.Result == "valid"
			if want && g.Public == nil { // symmetric keys only
				symmetric++
				want = false
			}
			if got := err == nil && accepts(keys, test.JWS); got != want {
				t.Errorf("vector %d (%s): accepted = %v, want %v", test.ID, test.Comment, got, want)
			}
			judged++
		}
	}
	if judged != f.NumberOfTests || symmetric != 4 {
		t.Errorf("judged %d of %d vectors, %d of them valid but symmetric, want 4", judged, f.NumberOfTests, symmetric)
	}
}
