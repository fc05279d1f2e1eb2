// Package admit gives a configuration object the verdict that `kubectl apply` would give it.
//
// The work is done by the API server's own library on the CRDs embedded in this binary: strict decoding, pruning,
// defaulting, OpenAPI schema, list types, CEL rules, and transition rules when the object's last accepted version is
// known. The only difference in words is that unknown fields and broken rules are told together, not one after the other.
//
// Schemas are compiled on first use of their kind and can be forgotten again with Release: a process that reloads once a
// day need not hold them for the day. A service has the work done by a helper, see Apart.
package admit

import (
	"cmp"
	"context"
	"encoding/json"

	"cloakroom.dev/libs/api/v1alpha1"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// Problem is one thing wrong with an object.
type Problem struct {
	Field   string // path: spec.rules[0].auth; empty for the object as a whole
	Message string // as the API server words it
}

// UnknownField is the message of a field that the schema doesn't have. It is not in the Content.
const UnknownField = "unknown field"

// String is what kubectl would print.
func (p Problem) String() string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}

// Verdict is what Admit found.
type Verdict struct {
	// Content is the object pruned and with its defaults, the old object of the next Admit.
	Content map[string]any

	// Object is the typed Content. With problems it holds whatever could be read, and is nil when nothing could.
	Object v1alpha1.Object

	// Problems is empty exactly when the object is accepted.
	Problems []Problem
}

// Admit judges an object of one of our kinds. raw is what JSON decoding into `any` gives, with whole numbers as int64; it
// is not kept or changed. old is the Content of the last accepted version, or nil.
func (a *Admitter) Admit(ctx context.Context, kind string, raw, old map[string]any) (Verdict, error) {
	if a.apart != nil {
		if v, err, done := a.apart.admit(kind, raw, old); done {
			return v, err
		}
	}
	k, err := a.kind(kind)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Content: runtime.DeepCopyJSON(raw)}
	delete(v.Content, "status") // ours: kubectl's apply leaves it out as well

	meta, problems := decodeMeta(v.Content)
	v.Problems = append(v.Problems, problems...)
	for _, path := range prune(v.Content, k.structural) {
		v.Problems = append(v.Problems, Problem{path, UnknownField})
	}
	defaulting.Default(v.Content, k.structural)

	errs := k.validate(ctx, v.Content, old, meta)
	for _, e := range errs {
		v.Problems = append(v.Problems, problem(e))
	}
	v.Object = typed(kind, v.Content)
	return v, nil
}

// decodeMeta reads metadata strictly and writes it back clean, as the API server does before it prunes.
func decodeMeta(content map[string]any) (*metav1.ObjectMeta, []Problem) {
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(content, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		delete(content, "metadata")
		return nil, []Problem{{"metadata", err.Error()}}
	}
	if !found {
		return &metav1.ObjectMeta{}, nil
	}
	var problems []Problem
	for _, path := range unknown {
		problems = append(problems, Problem{path, UnknownField})
	}
	if err := objectmeta.SetObjectMeta(content, meta); err != nil {
		problems = append(problems, Problem{"metadata", err.Error()})
	}
	return meta, problems
}

func prune(content map[string]any, s *schema.Structural) []string {
	unknown := pruning.PruneWithOptions(content, s, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	defaulting.PruneNonNullableNullsWithoutDefaults(content, s)
	return unknown
}

// validate runs the checks in the API server's order. CEL rules are left out when the shape is already wrong, since they
// would only stumble over it.
func (k *kind) validate(ctx context.Context, content, old map[string]any, meta *metav1.ObjectMeta) field.ErrorList {
	var errs field.ErrorList
	if meta != nil {
		meta.Namespace = cmp.Or(meta.Namespace, metav1.NamespaceDefault) // as kubectl fills it in
		errs = append(errs, apivalidation.ValidateObjectMeta(meta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))...)
	}
	if old == nil {
		errs = append(errs, validation.ValidateCustomResource(nil, content, k.validator)...)
	} else {
		errs = append(errs, validation.ValidateCustomResourceUpdate(nil, content, old, k.validator)...)
	}
	errs = append(errs, objectmeta.Validate(ctx, nil, content, k.structural, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, k.structural, content)...)
	if k.rules == nil || meta == nil {
		return errs
	}
	if shapeless(errs) {
		return append(errs, field.Invalid(nil, nil, "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"))
	}
	broken, _ := k.rules.Validate(ctx, nil, k.structural, content, oldOrNil(old), celconfig.RuntimeCELCostBudget)
	return append(errs, broken...)
}

// oldOrNil avoids a non-nil interface around a nil map, which would switch transition rules on.
func oldOrNil(old map[string]any) any {
	if old == nil {
		return nil
	}
	return old
}

func shapeless(errs field.ErrorList) bool {
	for _, e := range errs {
		switch e.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		}
	}
	return false
}

func problem(e *field.Error) Problem {
	p := Problem{Field: e.Field, Message: e.ErrorBody()}
	if p.Field == "<nil>" {
		p.Field = ""
	}
	return p
}

// typed decodes as far as it goes: json.Unmarshal reports the first wrong type but still reads the rest.
func typed(kind string, content map[string]any) v1alpha1.Object {
	o, ok := v1alpha1.New(kind)
	if !ok {
		return nil
	}
	b, err := json.Marshal(content)
	if err != nil {
		return nil
	}
	if err := json.Unmarshal(b, o); err != nil && o.GetName() == "" {
		return nil
	}
	return o
}
