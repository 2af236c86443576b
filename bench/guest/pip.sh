. /bench/lib.sh
for pass in $passes; do
  milliseconds root "pip install, 2 wheels, $pass" python3 -m pip install --quiet --no-index --no-warn-script-location --root-user-action=ignore --target /root/wheels /usr/share/python-wheels/*.whl
  rm -rf /root/wheels
done
