package check

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/api/v1alpha1/crds"
	"cloakroom.dev/libs/run"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func guide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/guides/configure.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestGuide_NamesEveryFieldOfEveryKind(t *testing.T) {
	_, fields, _ := strings.Cut(guide(t), "\n## Fields\n")
	for _, kind := range v1alpha1.Kinds() {
		_, section, ok := strings.Cut(fields, "\n### "+kind+"\n")
		if !ok {
			t.Errorf("the guide has no section on %s", kind)
			continue
		}
		section, _, _ = strings.Cut(section, "\n### ")
		text, err := crds.Read(kind)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
		named(t, kind, section, "spec", spec)
	}
}

// named fails for a field whose name stands nowhere in its kind's section. What is in drain, telemetry and pools is told
// once, under GatewayConfig.
func named(t *testing.T, kind, section, path string, s apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	if s.Items != nil {
		named(t, kind, section, path+"[]", *s.Items.Schema)
	}
	for name, p := range s.Properties {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(section) {
			t.Errorf("%s %s.%s is not in the guide", kind, path, name)
		}
		told := (name == "drain" || name == "telemetry") && kind != v1alpha1.KindGatewayConfig
		if secret := p.Properties["env"]; secret.Type == "" && !told {
			named(t, kind, section, path+"."+name, p)
		}
	}
}

func TestGuide_ExamplesAreAccepted(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(guide(t), -1)
	if len(blocks) == 0 {
		t.Fatal("no example found")
	}
	for _, b := range blocks {
		if code, out, _ := call(t, b[1], nil, "-"); code != run.ExitOK {
			t.Error(out)
		}
	}
}
