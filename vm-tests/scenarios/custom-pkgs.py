machine.wait_for_unit("container@own.service")
machine.succeed("nixos-container run own -- grep -q hello /etc/greeting")
