package admit

import (
	"regexp"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource/admit/admittest"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

func TestRules_AcceptAndRefuse(t *testing.T) {
	a := New()
	for _, r := range admittest.Rules {
		t.Run(r.Kind+" "+r.Field+" "+r.Says, func(t *testing.T) {
			var old map[string]any
			if r.Old != "" {
				old = judge(t, a, r.Kind, "a", r.Old, nil).Content
			}
			if v := judge(t, a, r.Kind, "a", r.Accept, old); len(v.Problems) != 0 {
				t.Errorf("refused %s: %v", r.Accept, v.Problems)
			}
			v := judge(t, a, r.Kind, "a", r.Refuse, old)
			for _, p := range v.Problems {
				if p.Field == r.Field && strings.Contains(p.Message, r.Says) {
					return
				}
			}
			t.Errorf("accepted %s; want %s: %s; got %v", r.Refuse, r.Field, r.Says, v.Problems)
		})
	}
	t.Run("every rule has a case", everyRuleHasACase)
}

// everyRuleHasACase keeps the table whole: a rule added to a type without a case here fails.
func everyRuleHasACase(t *testing.T) {
	index := regexp.MustCompile(`\[[^\]]*\]`)
	covered := func(kind, path, message string) bool {
		for _, r := range admittest.Rules {
			if r.Kind == kind && index.ReplaceAllString(r.Field, "[]") == path && strings.HasPrefix(message, r.Says) {
				return true
			}
		}
		return false
	}
	for _, kind := range v1alpha1.Kinds() {
		k, err := compile(kind)
		if err != nil {
			t.Fatal(err)
		}
		walk(k.structural, "", func(path string, s *schema.Structural) {
			for _, v := range s.XValidations {
				if !covered(kind, path, v.Message) {
					t.Errorf("no case for %s %s: %s", kind, path, v.Message)
				}
			}
		})
	}
}

func walk(s *schema.Structural, path string, visit func(string, *schema.Structural)) {
	visit(path, s)
	if s.Items != nil {
		walk(s.Items, path+"[]", visit)
	}
	for name, p := range s.Properties {
		walk(&p, strings.TrimPrefix(path+"."+name, "."), visit)
	}
}

func judge(t *testing.T, a *Admitter, kind, name, spec string, old map[string]any) Verdict {
	t.Helper()
	v, err := a.Admit(t.Context(), kind, object(t, kind, name, spec), old)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func object(t *testing.T, kind, name, spec string) map[string]any {
	t.Helper()
	text, err := yaml.YAMLToJSONStrict([]byte(spec))
	if err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	var content any
	if err := utiljson.Unmarshal(text, &content); err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"apiVersion": "cloakroom.dev/v1alpha1", "kind": kind, "metadata": map[string]any{"name": name}, "spec": content,
	}
}
