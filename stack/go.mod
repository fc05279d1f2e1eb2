module cloakroom.dev/stack

go 1.26

replace cloakroom.dev/libs => ../libs

require (
	cloakroom.dev/auth-svc v0.0.0
	cloakroom.dev/files-svc v0.0.0
	cloakroom.dev/gateway v0.0.0
	cloakroom.dev/libs v0.0.0
)

replace cloakroom.dev/auth-svc => ../auth-svc

replace cloakroom.dev/files-svc => ../files-svc

replace cloakroom.dev/gateway => ../gateway
