set -eu
# The last line of the file is this container's own address.
while read -r address _; do own=$address; done </etc/hosts
nodes=
for port in 7001 7002 7003 7004 7005 7006; do
  mkdir -p "/tmp/$port"
  (cd "/tmp/$port" && redis-server --port "$port" --bind '*' --protected-mode no --save '' --appendonly no --daemonize yes \
    --cluster-enabled yes --cluster-node-timeout 1000 --cluster-announce-ip "$own" --enable-debug-command yes)
  nodes="$nodes $own:$port"
done
for node in $nodes; do
  until redis-cli -u "redis://$node" ping >/dev/null 2>&1; do sleep 0.05; done
done
redis-cli --cluster create $nodes --cluster-replicas 1 --cluster-yes
exec sleep 1000000
