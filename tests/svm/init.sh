#!/bin/busybox sh
# The first process of the emulated machine (see svmhost.py): loads the modules, lays an overlay in
# memory over the host's root file system, runs the command there and reports its status.
#
# Whatever fails here ends this process, so that the kernel panics, QEMU ends, and svmhost.py says
# what the console said last.
set -e
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /host /overlay /root
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in /modules/*; do
	insmod "$module"
done

# cache=loose: nothing else changes what this machine has looked at, and each look is an exit of QEMU
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000 host /host
mount -t tmpfs -o size=75% overlay /overlay
mkdir /overlay/upper /overlay/work
mount -t overlay -o lowerdir=/host,upperdir=/overlay/upper,workdir=/overlay/work root /root
for folder in dev proc sys; do
	mount --move "/$folder" "/root/$folder"
done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /root/dev/pts
mount -t tmpfs -o mode=1777 shm /root/dev/shm
ln -s /proc/self/fd /root/dev/fd
ln -s fd/0 /root/dev/stdin
ln -s fd/1 /root/dev/stdout
ln -s fd/2 /root/dev/stderr
hostname svm
ip link set lo up
[ -c /root/dev/kvm ]

# svmhost.py numbers the ports; the kernel makes them in its own time
status=/root/dev/vport0p1 out=/root/dev/vport0p2 err=/root/dev/vport0p3
until [ -c $status ] && [ -c $out ] && [ -c $err ]; do
	sleep 0.02
done
echo up >$status
chroot /root /bin/sh -c "$(cat /command)" </root/dev/null >$out 2>$err && code=0 || code=$?
echo $code >$status
poweroff -f
