package resource

import (
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func storage(name, quota string) *v1alpha1.StoragePolicy {
	return &v1alpha1.StoragePolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.StoragePolicySpec{Quota: v1alpha1.Size(quota)}}
}

func route(name string) *v1alpha1.Route {
	return &v1alpha1.Route{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func TestSnapshot_ReadsByType(t *testing.T) {
	s := NewSnapshot([]Object{storage("b", "1Gi"), route("r"), storage("a", "1Gi")}, []Object{route("bad")})
	all := All[*v1alpha1.StoragePolicy](s)
	if len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" {
		t.Errorf("All is %v, want a and b", all)
	}
	if got := Broken[*v1alpha1.Route](s); len(got) != 1 || got[0].Name != "bad" {
		t.Errorf("Broken is %v, want bad", got)
	}
	if _, ok := Named[*v1alpha1.Route](s, "a"); ok {
		t.Error("Named mixes kinds")
	}
	if r, ok := Named[*v1alpha1.Route](s, "r"); !ok || r.Name != "r" {
		t.Error("Named doesn't find r")
	}
}

func TestOne(t *testing.T) {
	s := NewSnapshot([]Object{storage("b", "1Gi"), route("r"), storage("a", "1Gi")}, nil)
	if r, err := One[*v1alpha1.Route](s); err != nil || r.Name != "r" {
		t.Errorf("One is %v, %v", r, err)
	}
	if _, err := One[*v1alpha1.AuthConfig](s); err == nil || err.Error() != "no accepted AuthConfig: exactly one is needed" {
		t.Error(err)
	}
	if _, err := One[*v1alpha1.StoragePolicy](s); err == nil || err.Error() != "2 objects of kind StoragePolicy (a, b): exactly one is needed" {
		t.Error(err)
	}
}

func TestDigest_NamesContentOnly(t *testing.T) {
	one := NewSnapshot([]Object{storage("a", "1Gi"), route("r")}, nil)
	labelled := storage("a", "1Gi")
	labelled.Labels, labelled.Generation = map[string]string{"x": "y"}, 7
	same := NewSnapshot([]Object{route("r"), labelled}, nil)
	if one.Digest != same.Digest {
		t.Error("order, labels or generation change the digest")
	}
	for what, other := range map[string]*Snapshot{
		"spec":   NewSnapshot([]Object{storage("a", "2Gi"), route("r")}, nil),
		"name":   NewSnapshot([]Object{storage("b", "1Gi"), route("r")}, nil),
		"broken": NewSnapshot([]Object{storage("a", "1Gi")}, []Object{route("r")}),
		"less":   NewSnapshot([]Object{storage("a", "1Gi")}, nil),
	} {
		if other.Digest == one.Digest {
			t.Errorf("another %s gives the same digest", what)
		}
	}
	if !strings.HasPrefix(one.Digest, "sha256:") || len(one.Short()) != 12 {
		t.Errorf("digest %q, short %q", one.Digest, one.Short())
	}
}

func TestFinding_String(t *testing.T) {
	for want, f := range map[string]Finding{
		"r.yaml:7: Route/a: spec.rules: too many": {File: "r.yaml", Line: 7, Kind: "Route", Name: "a", Field: "spec.rules", Message: "too many"},
		"r.yaml: too large":                       {File: "r.yaml", Message: "too large"},
		"Route/a: lost":                           {Kind: "Route", Name: "a", Message: "lost"},
	} {
		if got := f.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestStatus_Conditions(t *testing.T) {
	r := route("a")
	r.Generation = 3
	s := UnresolvedRefs(r, "no TokenPolicy x")
	if s.Kind != "Route" || s.Name != "a" || s.Generation != 3 || len(s.Conditions) != 2 || s.Conditions[1].Status != metav1.ConditionFalse {
		t.Errorf("%+v", s)
	}
	if s := Programmed(r); s.Conditions[1].Reason != v1alpha1.ReasonProgrammed {
		t.Errorf("%+v", s)
	}
	if s := NotProgrammed(r, v1alpha1.ReasonOverridden, "other"); s.Conditions[0].Message != "other" {
		t.Errorf("%+v", s)
	}
}
