set -e; cd "$(mktemp -d)"
package() { # NAME VERSION
  rm -rf p; mkdir -p p/DEBIAN p/etc p/usr/bin p/usr/share/$1 p/var/lib/$1; printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: none <n@example.org>\nDescription: a test\n' $1 $2 > p/DEBIAN/control
  echo "setting=$2" > p/etc/$1.conf; echo /etc/$1.conf > p/DEBIAN/conffiles; printf '#!/bin/sh\necho "%s %s runs"\n' $1 $2 > p/usr/bin/$1; for i in $(seq 200); do echo $i > p/usr/share/$1/$i; done; ln -s 1 p/usr/share/$1/link
  for script in preinst postinst prerm postrm; do printf '#!/bin/sh\necho "%s $1"\n' $script > p/DEBIAN/$script; done; chmod 755 p/usr/bin/$1 p/DEBIAN/p*; chmod 2755 p/usr/share/$1; dpkg-deb --root-owner-group -Zxz -b p $1-$2.deb > /dev/null
}
package demo 1.0; package demo 2.0; dpkg -i demo-1.0.deb; demo; dpkg -s demo | grep -E 'Status|Version'; dpkg -L demo | wc -l; dpkg -V demo; dpkg -S "$(command -v demo)"; stat -c '%a %U:%G' /usr/share/demo
echo changed >> /etc/demo.conf; dpkg --force-confold -i demo-2.0.deb; demo; cat /etc/demo.conf; ls /etc/demo.conf*; rm /usr/share/demo/7; dpkg -V demo || true; dpkg -r demo; dpkg -s demo | grep Status; dpkg -P demo; ls -d /usr/share/demo /etc/demo.conf 2>&1 || true
dpkg --audit; dpkg-query -W | wc -l; dpkg --configure -a; update-alternatives --list awk; dpkg-divert --add --rename /usr/bin/wrk; ls /usr/bin/wrk*; ldconfig -p | wc -l; ldconfig; useradd -m someone; su someone -s /bin/sh -c 'id -un; touch ~/x; stat -c %U ~/x'; userdel -r someone 2>/dev/null; getent passwd someone || echo gone
echo done
