package admit

import (
	"fmt"
	"sync"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/api/v1alpha1/crds"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Admitter judges objects. It is safe for concurrent use.
type Admitter struct {
	apart *apart // nil: the work is done here
	mu    sync.Mutex
	kinds map[string]func() (*kind, error)
}

// New returns an Admitter for all kinds of v1alpha1. It compiles nothing yet.
func New() *Admitter { return &Admitter{kinds: map[string]func() (*kind, error){}} }

// Warm compiles the schemas of these kinds, side by side. Errors are left for Admit to tell.
func (a *Admitter) Warm(kinds ...string) {
	if len(kinds) == 0 {
		return
	}
	if a.apart != nil {
		if _, done := a.apart.do(job{Warm: kinds}); done {
			return
		}
	}
	var wg sync.WaitGroup
	for _, name := range kinds {
		wg.Go(func() { _, _ = a.kind(name) })
	}
	wg.Wait()
}

// Release forgets the compiled schemas, about a megabyte a kind, and ends the helper. The next Admit compiles what it needs.
func (a *Admitter) Release() {
	if a.apart != nil {
		a.apart.release()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.kinds)
}

// kind is one compiled schema.
type kind struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator // nil when the kind has no CEL rules
}

// kind returns the compiled schema of a kind. The lock is not held while compiling, so kinds compile side by side.
func (a *Admitter) kind(name string) (*kind, error) {
	if _, ok := v1alpha1.New(name); !ok {
		return nil, fmt.Errorf("no kind %q in %s", name, v1alpha1.GroupVersion)
	}
	a.mu.Lock()
	compiled, ok := a.kinds[name]
	if !ok {
		compiled = sync.OnceValues(func() (*kind, error) { return compile(name) })
		a.kinds[name] = compiled
	}
	a.mu.Unlock()
	return compiled()
}

func compile(name string) (*kind, error) {
	text, err := crds.Read(name)
	if err != nil {
		return nil, err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return nil, wrap(name, err)
	}
	var props apiextensions.JSONSchemaProps
	source := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(source, &props, nil); err != nil {
		return nil, wrap(name, err)
	}
	structural, err := schema.NewStructural(&props)
	if err != nil {
		return nil, wrap(name, err)
	}
	validator, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		return nil, wrap(name, err)
	}
	return &kind{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

func wrap(name string, err error) error { return fmt.Errorf("compile the schema of %s: %w", name, err) }
