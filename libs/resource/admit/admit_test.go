package admit

import (
	"cloakroom.dev/libs/resource/admit/admittest"
	"reflect"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/runtime"
)

func problems(v Verdict) string {
	var all []string
	for _, p := range v.Problems {
		all = append(all, p.String())
	}
	return strings.Join(all, "\n")
}

func TestAdmit_TellsWhatKubectlWould(t *testing.T) {
	a := New()
	for _, c := range []struct{ name, kind, spec, want string }{
		{"unknown field", "StoragePolicy", "{quotta: 1Gi}", "spec.quotta: unknown field"},
		{"unknown field in a list", "Route", admittest.Route("name: a, matches: [{path: {value: /a, kind: Exact}}]"), "spec.rules[0].matches[0].path.kind: unknown field"},
		{"wrong type", "StoragePolicy", "{quota: 1073741824}", `spec.quota: Invalid value: "integer": spec.quota in body must be of type string: "integer"`},
		{"a float", "SessionPolicy", "{maxSessions: 1.5}", `spec.maxSessions: Invalid value: "float64": spec.maxSessions in body must be of type int32: "float64"`},
		{"missing field", "RateLimitPolicy", "{rules: [{name: a, limit: 1}]}", "spec.rules[0].window: Required value"},
		{"enum", "SessionPolicy", "{algorithm: HS256}", `spec.algorithm: Unsupported value: "HS256": supported values: "EdDSA", "ES256", "ES512", "RS256", "RS512"`},
		{"pattern", "SessionPolicy", "{accessTTL: 1d}", `spec.accessTTL: Invalid value: "1d": spec.accessTTL in body should match`},
		{"port", "FilesConfig", "{listeners: {ops: {address: ':65536'}}}", `spec.listeners.ops.address: Invalid value: ":65536"`},
		{"no size at all", "StoragePolicy", `{quota: "0"}`, `spec.quota: Invalid value: "0"`},
		{"too many", "TokenPolicy", "{audiences: [a, b, c, d, e, f, g, h, i]}", "spec.audiences: Too many: 9: must have at most 8 items"},
		{"twice in a set", "TokenPolicy", "{audiences: [a, a]}", `spec.audiences[1]: Duplicate value: "a"`},
		{"twice in a map", "RateLimitPolicy", "{rules: [{name: a, limit: 1, window: 1s}, {name: a, limit: 2, window: 1s}]}", `spec.rules[1]: Duplicate value: {"name":"a"}`},
		{"spec is no object", "StoragePolicy", "[]", `spec: Invalid value: "array": spec in body must be of type object: "array"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := problems(judge(t, a, c.kind, "a", c.spec, nil)); !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestAdmit_Metadata(t *testing.T) {
	a := New()
	for _, c := range []struct {
		name string
		meta map[string]any
		want string
	}{
		{"bad name", map[string]any{"name": "A_b"}, `metadata.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain`},
		{"unknown field", map[string]any{"name": "a", "lables": map[string]any{}}, "metadata.lables: unknown field"},
		{"wrong type", map[string]any{"name": "a", "labels": "x"}, "metadata: json: cannot unmarshal"},
		{"bad label", map[string]any{"name": "a", "labels": map[string]any{"a/b/c": "x"}}, "metadata.labels: Invalid value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := object(t, "StoragePolicy", "a", "{}")
			raw["metadata"] = c.meta
			v, err := a.Admit(t.Context(), "StoragePolicy", raw, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := problems(v); !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestAdmit_FillsDefaultsAndLeavesItsInputAlone(t *testing.T) {
	raw := object(t, "SessionPolicy", "a", "{accessTTL: 5m}")
	raw["status"] = map[string]any{"nonsense": true} // kubectl's apply leaves status out as well
	before := runtime.DeepCopyJSON(raw)
	v, err := New().Admit(t.Context(), "SessionPolicy", raw, nil)
	if err != nil || len(v.Problems) != 0 {
		t.Fatal(err, v.Problems)
	}
	if diff := cmp.Diff(before, raw); diff != "" {
		t.Errorf("input changed: %s", diff)
	}
	spec := v.Object.(*v1alpha1.SessionPolicy).Spec
	if spec.AccessTTL != "5m" || spec.RefreshTTL != "720h" || spec.Password.MaxLength != 256 || spec.Eviction != v1alpha1.EndOldest {
		t.Errorf("defaults not filled in: %+v", spec)
	}
}

func TestAdmit_BrokenObjectIsReadAsFarAsItGoes(t *testing.T) {
	v := judge(t, New(), "Route", "a", "{hostnames: [a.example], rules: [{matches: [{path: {value: /private}}], auth: {}, backends: 7}]}", nil)
	if len(v.Problems) == 0 {
		t.Fatal("accepted")
	}
	r, ok := v.Object.(*v1alpha1.Route)
	if !ok || len(r.Spec.Rules) != 1 || r.Spec.Rules[0].Matches[0].Path.Value != "/private" {
		t.Errorf("the claim of a broken route is lost: %+v", v.Object)
	}
}

func TestAdmit_UnknownKind(t *testing.T) {
	if _, err := New().Admit(t.Context(), "Secret", map[string]any{}, nil); err == nil {
		t.Error("judged a kind that doesn't exist")
	}
}

// A default of an object replaces the whole of it before its own fields' defaults are filled in, so the two must agree.
func TestDefaults_OfAnObjectAgreeWithThoseOfItsFields(t *testing.T) {
	for _, kind := range v1alpha1.Kinds() {
		k, err := compile(kind)
		if err != nil {
			t.Fatal(err)
		}
		walk(k.structural, "", func(path string, s *schema.Structural) {
			given, ok := s.Default.Object.(map[string]any)
			if !ok {
				return
			}
			given = runtime.DeepCopyJSON(given)
			defaulting.Default(given, s)
			for name, p := range s.Properties {
				if p.Default.Object == nil {
					continue
				}
				want := runtime.DeepCopyJSONValue(p.Default.Object)
				defaulting.Default(want, &p)
				if !reflect.DeepEqual(given[name], want) {
					t.Errorf("%s %s.%s: %v by the object's default, %v by its own", kind, path, name, given[name], want)
				}
			}
		})
	}
}

func TestRelease_ForgetsAndCompilesAnew(t *testing.T) {
	a := New()
	a.Warm("StoragePolicy")
	a.Release()
	if v := judge(t, a, "StoragePolicy", "a", "{}", nil); len(v.Problems) != 0 {
		t.Error(v.Problems)
	}
}

func BenchmarkCompileAllKinds(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		New().Warm(v1alpha1.Kinds()...)
	}
}
