package filessvc

import (
	"context"
	"fmt"
	"net/http"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/process"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/run"
)

// Commands are the words of the service's own program. It reads resources from folders and from where schemes say.
func Commands(schemes ...process.Scheme) []run.Command {
	program := process.Program[*v1alpha1.FilesConfig]{
		Name:  "files-svc",
		Kinds: []string{v1alpha1.KindFilesConfig, v1alpha1.KindStoragePolicy},
		Rules: CheckRules,
		Life: func(boot *v1alpha1.FilesConfig) process.Life {
			s := boot.Spec
			return process.Life{Ops: s.Listeners.Ops, Drain: s.Drain, Telemetry: s.Telemetry, StateDir: s.StateDir}
		},
		Open: open, Schemes: schemes,
	}
	return append(process.Commands(program), process.MigrateCommand(program, migrate), scrubCommand(program), verifyBackupCommand(program),
		webhookCommand(program), importCommand(program), crashtestCommand())
}

// CheckRules finds what the schemas of the files service's resources can't.
func CheckRules(s *resource.Snapshot) (found []resource.Finding) {
	for _, boot := range resource.All[*v1alpha1.FilesConfig](s) {
		ref := string(boot.Spec.StoragePolicyRef.Name)
		if _, ok := resource.Named[*v1alpha1.StoragePolicy](s, ref); !ok {
			found = append(found, resource.Finding{
				Kind: v1alpha1.KindFilesConfig, Name: boot.GetName(), Field: "spec.storagePolicyRef.name",
				Message: fmt.Sprintf("there is no StoragePolicy %q: uploads would be refused", ref),
			})
		}
	}
	return found
}

// open makes the service and says where it listens.
func open(ctx context.Context, boot *v1alpha1.FilesConfig, deps Deps) (process.Service, []process.Endpoint, map[string]http.Handler, error) {
	s, err := New(ctx, Config{Boot: boot}, deps)
	if err != nil {
		return nil, nil, nil, err
	}
	public := process.Endpoint{Name: "public", Address: boot.Spec.Listeners.Public.Address, Handler: s.Handler(), Stage: run.Front}
	return s, []process.Endpoint{public}, nil, nil
}

func migrate(ctx context.Context, boot *v1alpha1.FilesConfig, base string, deps Deps) error {
	rows, err := openCatalogue(ctx, Config{Boot: boot, BaseDir: base}, deps, toMigrate)
	if err != nil {
		return err
	}
	return rows.shut()
}
