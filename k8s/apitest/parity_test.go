package apitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/resource/admit/admittest"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// both puts objects to files and to the API server.
type both struct {
	*Server
	admitter  *admit.Admitter
	namespace string
}

func newBoth(t *testing.T) *both {
	s := Start(t)
	s.InstallCRDs()
	return &both{s, admit.New(), s.Namespace("parity")}
}

func TestFilesAndAPIServer_SayTheSame(t *testing.T) {
	b := newBoth(t)
	t.Run("rules", b.rules)
	t.Run("shapes", b.shapes)
	t.Run("defaults", b.defaults)
	t.Run("samples", b.samples)
}

// files is the verdict on an object in a file, as update of old when that isn't nil.
func (b *both) files(t *testing.T, o *unstructured.Unstructured, old map[string]any) (content map[string]any, problems []string) {
	t.Helper()
	v, err := b.admitter.Admit(t.Context(), o.GetKind(), o.Object, old)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range v.Problems {
		problems = append(problems, p.String())
	}
	slices.Sort(problems)
	return v.Content, problems
}

// unknown finds the fields in the one sentence with which the API server refuses unknown ones.
var unknown = regexp.MustCompile(`unknown field "([^"]*)"`)

// server is the verdict of the API server in the same words.
func (b *both) server(t *testing.T, o *unstructured.Unstructured) (got *unstructured.Unstructured, problems []string) {
	t.Helper()
	got, err := b.put(o)
	if err == nil {
		return got, nil
	}
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		t.Fatal(err)
	}
	for _, m := range unknown.FindAllStringSubmatch(status.ErrStatus.Message, -1) {
		problems = append(problems, m[1]+": unknown field")
	}
	if d := status.ErrStatus.Details; d != nil {
		for _, c := range d.Causes {
			if c.Field == "<nil>" {
				c.Field = ""
			}
			problems = append(problems, admit.Problem{Field: c.Field, Message: c.Message}.String())
		}
	}
	if len(problems) == 0 {
		t.Fatalf("the API server says nothing we understand: %v", err)
	}
	slices.Sort(problems)
	return nil, problems
}

// put creates or replaces an object, strictly, as `kubectl apply` does. (`kubectl apply --server-side` refuses wrong shapes before
// the schema is asked, in words of its own.)
func (b *both) put(o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	objects := b.Client(Admin).Resource(Resource(o.GetKind())).Namespace(b.namespace)
	old, err := objects.Get(b.t.Context(), o.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return objects.Create(b.t.Context(), o, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	}
	if err != nil {
		return nil, err
	}
	o = o.DeepCopy()
	o.SetResourceVersion(old.GetResourceVersion())
	return objects.Update(b.t.Context(), o, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict})
}

// agree puts an object to both and returns what files say.
func (b *both) agree(t *testing.T, o *unstructured.Unstructured, old map[string]any) (content map[string]any, problems []string) {
	t.Helper()
	content, problems = b.files(t, o, old)
	got, theirs := b.server(t, o)
	if diff := cmp.Diff(theirs, problems); diff != "" {
		t.Errorf("%s/%s: the API server (-) and files (+) differ:\n%s", o.GetKind(), o.GetName(), diff)
	}
	if got != nil && len(problems) == 0 {
		if diff := cmp.Diff(spec(t, got.Object), spec(t, content)); diff != "" {
			t.Errorf("%s/%s: the API server (-) and files (+) fill in different defaults:\n%s", o.GetKind(), o.GetName(), diff)
		}
	}
	return content, problems
}

func spec(t *testing.T, content map[string]any) (v any) {
	t.Helper()
	raw, err := json.Marshal(content["spec"])
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func object(t *testing.T, kind, name, spec string) *unstructured.Unstructured {
	t.Helper()
	return Object(t, fmt.Sprintf("apiVersion: cloakroom.dev/v1alpha1\nkind: %s\nmetadata: {name: %s}\nspec:\n  %s\n", kind, name, indent(spec)))
}

func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n  ") }

func (b *both) rules(t *testing.T) {
	for i, r := range admittest.Rules {
		name := fmt.Sprintf("r%d", i)
		t.Run(r.Kind+" "+r.Field+" "+r.Says, func(t *testing.T) {
			var old map[string]any
			if r.Old != "" {
				old, _ = b.agree(t, object(t, r.Kind, name, r.Old), nil)
			}
			if _, problems := b.agree(t, object(t, r.Kind, name, r.Accept), old); len(problems) > 0 {
				t.Errorf("refused: %v", problems)
			}
			if r.Old == "" {
				name += "-refused"
			}
			_, problems := b.agree(t, object(t, r.Kind, name, r.Refuse), old)
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, r.Field+": ") && strings.Contains(p, r.Says) }) {
				t.Errorf("want %s: …%s…, got %v", r.Field, r.Says, problems)
			}
		})
	}
}

// shapes is what is wrong without a rule: types, limits, unknown fields.
func (b *both) shapes(t *testing.T) {
	for name, c := range map[string]struct{ kind, name, spec string }{
		"unknown field":              {"StoragePolicy", "a", "quota: 10Gi\nquotta: 1Gi"},
		"unknown fields, deep":       {"Route", "a", "rules: [{matches: [{pathh: {value: /}}], auth: {anonymous: {reason: for the test, x: 1}}, backends: [{name: auth, wait: 1}]}]"},
		"wrong type":                 {"StoragePolicy", "a", "quota: 10"},
		"wrong type of a list":       {"Route", "a", "rules: {}"},
		"pattern":                    {"StoragePolicy", "a", "quota: lots"},
		"enum":                       {"SessionPolicy", "a", "algorithm: HS256"},
		"too few":                    {"Route", "a", "rules: []"},
		"required":                   {"Route", "a", "hostnames: [a.example]"},
		"null":                       {"StoragePolicy", "a", "quota: null"},
		"null without default":       {"Route", "a", "hostnames: null\nrules: [{auth: {anonymous: {reason: for the test}}, backends: [{name: auth}]}]"},
		"twice in a set":             {"Route", "a", "hostnames: [a.example, a.example]\nrules: [{auth: {anonymous: {reason: for the test}}, backends: [{name: auth}]}]"},
		"number too large":           {"SessionPolicy", "a", "maxSessions: 2147483648"},
		"number not whole":           {"SessionPolicy", "a", "maxSessions: 1.5"},
		"string too long":            {"AuthConfig", "a", "issuer: " + strings.Repeat("a", 256)},
		"everything left out":        {"StoragePolicy", "a", "{}"},
		"several rules at once":      {"SessionPolicy", "a", "accessTTL: 1h\nrefreshTTL: 1h\nidleTimeout: 59m"},
		"wrong shape hides rules":    {"SessionPolicy", "a", "algorithm: HS256\naccessTTL: 1h\nrefreshTTL: 1h"},
		"several patterns at once":   {"StoragePolicy", "a", "quota: lots\nmaxObjectBytes: more\ntrashRetention: 3d"},
		"default in an empty object": {"GatewayConfig", "a", "trustedProxies: {none: {}}\nlimits: {}\nlisteners: {}"},
	} {
		t.Run(name, func(t *testing.T) {
			b.agree(t, object(t, c.kind, c.name, c.spec), nil)
			b.Delete(b.namespace, c.kind, c.name)
		})
	}
}

func (b *both) defaults(t *testing.T) {
	for _, kind := range v1alpha1.Kinds() {
		least := "{}"
		switch kind {
		case v1alpha1.KindGatewayConfig:
			least = "trustedProxies: {none: {}}"
		case v1alpha1.KindRoute:
			least = admittest.Route("")
		case v1alpha1.KindRateLimitPolicy:
			least = "rules: [{name: a, limit: 1, window: 1s}]"
		}
		b.agree(t, object(t, kind, "least", least), nil)
	}
}

func (b *both) samples(t *testing.T) {
	b.Namespace("cloakroom")
	seen := map[string]bool{}
	all := Documents(t, "../samples")
	maps.Copy(all, Documents(t, "../samples/dialects"))
	for place, text := range all {
		o := Object(t, text)
		seen[o.GetKind()] = true
		if o.GetNamespace() != "cloakroom" {
			t.Errorf("%s: namespace %q, want cloakroom", place, o.GetNamespace())
		}
		got, err := b.Apply("cloakroom", o)
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		content, problems := b.files(t, o, nil)
		if diff := cmp.Diff(spec(t, got.Object), spec(t, content)); diff != "" || len(problems) > 0 {
			t.Errorf("%s: %v\n%s", place, problems, diff)
		}
	}
	for _, kind := range v1alpha1.Kinds() {
		if !seen[kind] {
			t.Errorf("there is no sample of %s", kind)
		}
	}
}
