package httpapi_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/auth-svc/internal/adapter/httpapi"
)

func TestContract_IsValidAndHoldsExactlyTheMountedRoutes(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Fatal(err)
	}
	var written, mounted []string
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			written = append(written, method+" "+path+" "+operation.OperationID)
		}
	}
	for _, route := range httpapi.New(httpapi.Options{}).Public().Routes() {
		// HEAD comes with GET, and the contract is not part of itself.
		if route.Method != http.MethodHead && route.Path != "/openapi.yaml" {
			mounted = append(mounted, route.Method+" "+route.Path+" "+route.Name)
		}
	}
	slices.Sort(written)
	slices.Sort(mounted)
	if d := cmp.Diff(written, mounted); d != "" {
		t.Errorf("openapi.yaml (-) and the mounted routes (+) differ:\n%s", d)
	}
}

// Without this a field that a handler forgot to declare would pass unseen.
func TestContract_EveryObjectIsClosed(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, schema := range doc.Components.Schemas {
		s := schema.Value
		if name == "Credential" || name == "PublicKeyOptions" {
			continue // these are Web Authentication's, and grow with it
		}
		if s.Type.Is("object") && (s.AdditionalProperties.Has == nil || *s.AdditionalProperties.Has) {
			t.Errorf("schema %s takes unknown fields", name)
		}
	}
}
