package resource

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
)

// Snapshot is every accepted object at one moment. It is immutable, and so is everything reachable from it.
type Snapshot struct {
	// Digest names the content: equal kinds, names and specs give an equal digest, on every replica and after every restart.
	Digest string

	objects []Object
	broken  []Object
}

// NewSnapshot makes a snapshot of accepted objects, and of broken ones, which were never accepted but could be read far
// enough to know what they claim. The objects belong to the snapshot from here on.
func NewSnapshot(accepted, broken []Object) *Snapshot {
	byName := func(a, b Object) int {
		return cmp.Or(strings.Compare(KindOf(a), KindOf(b)), strings.Compare(a.GetName(), b.GetName()))
	}
	s := &Snapshot{objects: slices.Clone(accepted), broken: slices.Clone(broken)}
	slices.SortStableFunc(s.objects, byName)
	slices.SortStableFunc(s.broken, byName)
	s.Digest = digest(s.objects, s.broken)
	return s
}

// Join makes one snapshot of two that hold different kinds.
func Join(a, b *Snapshot) *Snapshot {
	return NewSnapshot(slices.Concat(a.objects, b.objects), slices.Concat(a.broken, b.broken))
}

// Short returns the first twelve hex digits of the digest, for logs and people.
func (s *Snapshot) Short() string {
	_, hexadecimal, _ := strings.Cut(s.Digest, ":")
	return hexadecimal[:min(12, len(hexadecimal))]
}

// All returns the accepted objects of type T, sorted by name: All[*v1alpha1.Route](s).
func All[T Object](s *Snapshot) []T { return only[T](s.objects) }

// Broken returns the objects of type T that were never accepted, sorted by name. They hold whatever could be read and
// may break every rule of the schema. A service must refuse what they claim: an ignored Route would let a wider one
// serve its requests.
func Broken[T Object](s *Snapshot) []T { return only[T](s.broken) }

// Named returns the accepted object of type T with this name.
func Named[T Object](s *Snapshot, name string) (T, bool) {
	for _, o := range s.objects {
		if t, ok := o.(T); ok && o.GetName() == name {
			return t, true
		}
	}
	var none T
	return none, false
}

// One returns the only accepted object of type T. It fails when there is none or more than one; boot kinds are read so.
func One[T Object](s *Snapshot) (T, error) {
	var none T
	switch all := All[T](s); len(all) {
	case 1:
		return all[0], nil
	case 0:
		return none, fmt.Errorf("no accepted %s: exactly one is needed", KindOf(none))
	default:
		names := make([]string, len(all))
		for i, o := range all {
			names[i] = o.GetName()
		}
		return none, fmt.Errorf("%d objects of kind %s (%s): exactly one is needed", len(all), KindOf(none), strings.Join(names, ", "))
	}
}

func only[T Object](objects []Object) []T {
	var all []T
	for _, o := range objects {
		if t, ok := o.(T); ok {
			all = append(all, t)
		}
	}
	return all
}

// digest covers kind, name and spec: what an object asks for, not where it stands or when it was read.
func digest(objects, broken []Object) string {
	h := sha256.New()
	for i, o := range slices.Concat(objects, broken) {
		spec, err := json.Marshal(specOf(o))
		if err != nil {
			spec = []byte(err.Error()) // plain structs of strings and numbers: can't happen, and must not panic
		}
		fmt.Fprintf(h, "%t %s/%s %d ", i < len(objects), KindOf(o), o.GetName(), len(spec))
		h.Write(spec)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// KindOf returns the kind of an object, whether or not its TypeMeta is filled in.
func KindOf(o Object) string {
	switch o.(type) {
	case *v1alpha1.GatewayConfig:
		return v1alpha1.KindGatewayConfig
	case *v1alpha1.AuthConfig:
		return v1alpha1.KindAuthConfig
	case *v1alpha1.FilesConfig:
		return v1alpha1.KindFilesConfig
	case *v1alpha1.Route:
		return v1alpha1.KindRoute
	case *v1alpha1.TokenPolicy:
		return v1alpha1.KindTokenPolicy
	case *v1alpha1.SessionPolicy:
		return v1alpha1.KindSessionPolicy
	case *v1alpha1.RateLimitPolicy:
		return v1alpha1.KindRateLimitPolicy
	case *v1alpha1.StoragePolicy:
		return v1alpha1.KindStoragePolicy
	}
	return ""
}

func specOf(o Object) any {
	switch o := o.(type) {
	case *v1alpha1.GatewayConfig:
		return o.Spec
	case *v1alpha1.AuthConfig:
		return o.Spec
	case *v1alpha1.FilesConfig:
		return o.Spec
	case *v1alpha1.Route:
		return o.Spec
	case *v1alpha1.TokenPolicy:
		return o.Spec
	case *v1alpha1.SessionPolicy:
		return o.Spec
	case *v1alpha1.RateLimitPolicy:
		return o.Spec
	case *v1alpha1.StoragePolicy:
		return o.Spec
	}
	return nil
}
