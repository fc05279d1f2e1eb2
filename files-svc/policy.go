package filessvc

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

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

// loadPolicy reads the policy to start with. One that is missing keeps uploads out, and nothing else.
func loadPolicy(ctx context.Context, boot *v1alpha1.FilesConfig, deps Deps) (*livePolicy, error) {
	snapshot, err := deps.Source.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load resources: %w", err)
	}
	l := &livePolicy{boot: boot, source: deps.Source, log: deps.Log}
	l.apply(ctx, snapshot)
	return l, nil
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
	var statuses []resource.Status
	for _, boot := range resource.All[*v1alpha1.FilesConfig](s) {
		statuses = append(statuses, l.bootStatus(boot, s))
	}
	for _, p := range resource.All[*v1alpha1.StoragePolicy](s) {
		if p.GetName() != string(l.boot.Spec.StoragePolicyRef.Name) {
			statuses = append(statuses, resource.NotProgrammed(p, v1alpha1.ReasonOverridden, "this files service follows another StoragePolicy"))
			continue
		}
		policy := policyOf(p.Spec)
		if last := l.current.Swap(&policy); last != nil && !reflect.DeepEqual(*last, policy) {
			l.log.InfoContext(ctx, "storage policy changed", "name", p.GetName(), "digest", s.Digest)
		}
		statuses = append(statuses, resource.Programmed(p))
	}
	if err := l.source.Report(ctx, statuses); err != nil {
		l.log.WarnContext(ctx, "status of resources could not be reported", "error", err.Error())
	}
}

// bootStatus says whether a boot object is what this process runs on, and whether its policy is there.
func (l *livePolicy) bootStatus(boot *v1alpha1.FilesConfig, s *resource.Snapshot) resource.Status {
	ref := string(l.boot.Spec.StoragePolicyRef.Name)
	_, found := resource.Named[*v1alpha1.StoragePolicy](s, ref)
	switch {
	case boot.GetName() != l.boot.GetName() || !reflect.DeepEqual(boot.Spec, l.boot.Spec):
		return resource.NotProgrammed(boot, v1alpha1.ReasonRestartRequired, "the change takes effect at the next start")
	case !found && l.current.Load() == nil:
		return resource.UnresolvedRefs(boot, fmt.Sprintf("there is no accepted StoragePolicy %q, so uploads are refused", ref))
	case !found:
		return resource.UnresolvedRefs(boot, fmt.Sprintf("StoragePolicy %q is gone; its last version serves on", ref))
	default:
		return resource.Programmed(boot)
	}
}

// policyOf is a StoragePolicy in the core's words.
func policyOf(s v1alpha1.StoragePolicySpec) files.Policy {
	p := files.Policy{
		QuotaBytes: s.Quota.Bytes(), MaxVersions: s.MaxFiles, MaxObjectBytes: s.MaxObjectBytes.Bytes(),
		KeepVersions: int(s.VersionsKept), TrashRetention: s.TrashRetention.Std(), MaxLinkTTL: s.MaxLinkTTL.Std(),
		UploadExpiry: s.UploadExpiry.Std(),
	}
	if d := s.DirectDownload; d.Enabled {
		p.Direct = files.DirectPolicy{Lifetime: d.Lifetime.Std(), MinBytes: d.MinBytes.Bytes()}
	}
	for _, t := range s.ContentTypes {
		p.ContentTypes = append(p.ContentTypes, string(t))
	}
	if slices.Contains(p.ContentTypes, "*/*") {
		p.ContentTypes = nil // the core's word for all of them
	}
	return p
}

// restoreHorizon is a boot object's horizon in the core's words: there, none is negative.
func restoreHorizon(s v1alpha1.FilesConfigSpec) time.Duration {
	if h := s.RestoreHorizon.Std(); h > 0 {
		return h
	}
	return -1
}
