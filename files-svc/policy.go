package filessvc

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync/atomic"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/resource"
)

// livePolicy follows the StoragePolicy that the boot object names. What runs keeps the policy it has until a newer one is
// accepted; a policy that goes missing goes on in force and is reported.
type livePolicy struct {
	boot    *v1alpha1.FilesConfig
	source  resource.Source
	log     *slog.Logger
	current atomic.Pointer[files.Policy] // nil until there has been one
}

// errNoPolicy refuses uploads: without a policy nobody has said how much anyone may keep.
var errNoPolicy = fault.New(fault.Unavailable, "uploads are not configured yet")

// accepted is the policy in force, for those who can refuse.
func (l *livePolicy) accepted() (files.Policy, error) {
	if p := l.current.Load(); p != nil {
		return *p, nil
	}
	return files.Policy{}, errNoPolicy
}

// get is the policy in force, for an upload that has been let in.
func (l *livePolicy) get() files.Policy {
	p, _ := l.accepted()
	return p
}

func (l *livePolicy) ready(context.Context) error {
	_, err := l.accepted()
	return err
}

// run follows the source until ctx ends.
func (l *livePolicy) run(ctx context.Context) error {
	return l.source.Watch(ctx, func(s *resource.Snapshot) { l.apply(ctx, s) })
}

// apply takes a snapshot in and says how that went.
func (l *livePolicy) apply(ctx context.Context, s *resource.Snapshot) {
	statuses := []resource.Status{l.bootStatus(s)}
	for _, p := range resource.All[*v1alpha1.StoragePolicy](s) {
		if p.GetName() != string(l.boot.Spec.StoragePolicyRef.Name) {
			statuses = append(statuses, resource.NotProgrammed(p, v1alpha1.ReasonOverridden, "this files service follows another StoragePolicy"))
			continue
		}
		policy := policyOf(p.Spec)
		l.current.Store(&policy)
		l.log.InfoContext(ctx, "storage policy in force", "policy", p.GetName(), "quota_bytes", policy.QuotaBytes,
			"max_object_bytes", policy.MaxObjectBytes, "snapshot", s.Digest)
		statuses = append(statuses, resource.Programmed(p))
	}
	if err := l.source.Report(ctx, statuses); err != nil {
		l.log.WarnContext(ctx, "status of resources could not be reported", "error", err.Error())
	}
}

// bootStatus says whether the boot object is what this process runs on, and whether its policy is there.
func (l *livePolicy) bootStatus(s *resource.Snapshot) resource.Status {
	now, ok := resource.Named[*v1alpha1.FilesConfig](s, l.boot.GetName())
	ref := string(l.boot.Spec.StoragePolicyRef.Name)
	_, found := resource.Named[*v1alpha1.StoragePolicy](s, ref)
	switch {
	case !found:
		return resource.UnresolvedRefs(l.boot, fmt.Sprintf("there is no accepted StoragePolicy %q", ref))
	case ok && !reflect.DeepEqual(now.Spec, l.boot.Spec):
		return resource.NotProgrammed(now, v1alpha1.ReasonRestartRequired, "the change takes effect at the next start")
	case ok:
		return resource.Programmed(now)
	default:
		return resource.Programmed(l.boot)
	}
}

// policyOf is a StoragePolicy in the core's words.
func policyOf(s v1alpha1.StoragePolicySpec) files.Policy {
	p := files.Policy{
		QuotaBytes: s.Quota.Bytes(), MaxObjectBytes: s.MaxObjectBytes.Bytes(),
		KeepVersions: int(s.VersionsKept), TrashRetention: s.TrashRetention.Std(),
	}
	for _, t := range s.ContentTypes {
		p.ContentTypes = append(p.ContentTypes, string(t))
	}
	if slices.Contains(p.ContentTypes, "*/*") {
		p.ContentTypes = nil // the core's word for all of them
	}
	return p
}
