package crds

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"sigs.k8s.io/yaml"
)

func crd(t *testing.T, kind string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	text, err := Read(kind)
	if err != nil {
		t.Fatal(err)
	}
	var c apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

func TestFiles_AreThoseForKubectl(t *testing.T) {
	forKubectl := "../../../../k8s/crds"
	entries, err := os.ReadDir(forKubectl)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(v1alpha1.Kinds()) {
		t.Errorf("%s holds %d files, want one for each of %d kinds", forKubectl, len(entries), len(v1alpha1.Kinds()))
	}
	for _, kind := range v1alpha1.Kinds() {
		ours, err := Read(kind)
		if err != nil {
			t.Fatal(err)
		}
		name := crd(t, kind).Name
		plural, group, _ := strings.Cut(name, ".")
		theirs, err := os.ReadFile(filepath.Join(forKubectl, group+"_"+plural+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, theirs) {
			t.Errorf("k8s/crds differs from libs/api/v1alpha1/crds for %s: run `make generate`", kind)
		}
	}
}

// The API server judges a CRD too, the estimated cost of its CEL rules included.
func TestCRDs_WouldBeTakenByTheAPIServer(t *testing.T) {
	for _, kind := range v1alpha1.Kinds() {
		c := crd(t, kind)
		apiextensionsv1.SetDefaults_CustomResourceDefinition(c)
		apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&c.Spec)
		var internal apiextensions.CustomResourceDefinition
		if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(c, &internal, nil); err != nil {
			t.Fatal(err)
		}
		internal.Status.StoredVersions = []string{v1alpha1.GroupVersion.Version} // the API server adds it
		for _, err := range validation.ValidateCustomResourceDefinition(t.Context(), &internal) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestCRDs_FollowTheConventions(t *testing.T) {
	short := map[string]string{
		"GatewayConfig": "gwc", "AuthConfig": "ac", "FilesConfig": "fc", "Route": "rt",
		"TokenPolicy": "tp", "SessionPolicy": "sp", "RateLimitPolicy": "rlp", "StoragePolicy": "stp",
	}
	for _, kind := range v1alpha1.Kinds() {
		spec := crd(t, kind).Spec
		version := spec.Versions[0]
		if got := strings.Join(spec.Names.ShortNames, ","); got != short[kind] {
			t.Errorf("%s: short names %q, want %q", kind, got, short[kind])
		}
		if got := strings.Join(spec.Names.Categories, ","); got != "cloakroom" {
			t.Errorf("%s: categories %q, want cloakroom", kind, got)
		}
		if version.Subresources == nil || version.Subresources.Status == nil {
			t.Errorf("%s: status is not a subresource", kind)
		}
		columns := map[string]bool{}
		for _, c := range version.AdditionalPrinterColumns {
			columns[c.Name] = true
		}
		if len(columns) < 5 || !columns["Accepted"] || !columns["Programmed"] || !columns["Age"] {
			t.Errorf("%s: printer columns %v lack Accepted, Programmed, a field of the spec or Age", kind, columns)
		}
		bounded(t, kind+".spec", version.Schema.OpenAPIV3Schema.Properties["spec"])
	}
}

// bounded fails for every list, string or map without a limit and for every number that isn't a whole one.
func bounded(t *testing.T, path string, s apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	switch s.Type {
	case "string":
		if s.MaxLength == nil && len(s.Enum) == 0 {
			t.Errorf("%s: a string without maxLength or enum", path)
		}
	case "array":
		if s.MaxItems == nil {
			t.Errorf("%s: a list without maxItems", path)
		}
		bounded(t, path+"[]", *s.Items.Schema)
	case "integer":
		if s.Minimum == nil || s.Maximum == nil || (s.Format != "int32" && s.Format != "int64") {
			t.Errorf("%s: an integer without minimum, maximum or a signed format", path)
		}
	case "object":
		if s.AdditionalProperties != nil {
			t.Errorf("%s: a map; use a list of named things", path)
		}
	case "boolean":
	default:
		t.Errorf("%s: type %q is not used here", path, s.Type)
	}
	for name, p := range s.Properties {
		bounded(t, path+"."+name, p)
	}
}
